"""``headstock run --launch``: the same run in several processes, through torchrun, on one machine or over SLURM.

Headstock starts no processes itself. On one machine or by hand on several that is torchrun's work; on a cluster SLURM
starts one torchrun on each node.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from headstock_registry import HeadstockError

_Command = TypeVar("_Command", bound=Callable[..., Any])

TIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}")
"""Forms of a time limit that sbatch takes."""

SCRIPT = """\
#!/bin/bash
{directives}
set -euo pipefail
# A job that SLURM puts in the queue again resumes where it was.
again="{first}"
if [ "${{SLURM_RESTART_COUNT:-0}}" -gt 0 ]; then again=--resume; fi
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000))
srun --ntasks-per-node=1 --kill-on-bad-exit=1{cpus} \\
    {torchrun} --nnodes "$SLURM_NNODES" --nproc-per-node {processes} \\
    --rdzv-id "$SLURM_JOB_ID" --rdzv-backend c10d --rdzv-endpoint "$head:$port" \\
    -m headstock {arguments} $again
"""


class Launch(NamedTuple):
    """How to start the processes of a run, in the words of torchrun and sbatch."""

    how: str
    nodes: int
    processes: int | None
    gpus_per_node: int | None
    rdzv_endpoint: str | None
    cpus_per_task: int | None
    mem: str | None
    partition: str | None
    account: str | None
    time: str | None
    only_print: bool

    @classmethod
    def of(
        cls,
        launch: str | None,
        nodes: int | None,
        nproc_per_node: int | None,
        print_command: bool,
        rdzv_endpoint: str | None,
        **slurm: Any,
    ) -> Launch | None:
        """Return the options as they were given on the command line; None without ``--launch``.

        Raises:
            click.UsageError: an option does not go with the others, or one is missing.
        """
        elsewhere = {
            "torchrun": {"rdzv_endpoint": rdzv_endpoint},
            "slurm": slurm,
            "torchrun or slurm": {"nodes": nodes, "nproc_per_node": nproc_per_node, "print_command": print_command},
        }
        for whose, options in elsewhere.items():
            for name, value in options.items():
                if value not in (None, False) and (launch is None or launch not in whose):
                    raise click.UsageError(f"--{name.replace('_', '-')} goes with --launch {whose}")
        if launch is None:
            return None
        if launch == "torchrun" and (nodes or 1) > 1 and rdzv_endpoint is None:
            raise click.UsageError("several nodes need a place to meet: --rdzv-endpoint HOST:PORT, the same on each")
        gpus = slurm["gpus_per_node"]
        if launch == "slurm" and gpus is None and nproc_per_node is None:
            raise click.UsageError(
                "say how many GPUs each node has: --gpus-per-node 8 (or --nproc-per-node without GPUs)"
            )
        return cls(
            launch, nodes or 1, nproc_per_node or gpus, rdzv_endpoint=rdzv_endpoint, only_print=print_command, **slurm
        )

    def torchrun(self, arguments: Sequence[str], program: Sequence[str]) -> list[str]:
        """Return the command for a node; on several nodes it is the same on each.

        Args:
            arguments: Of the ``headstock`` command.
            program: What starts torchrun.
        """
        if self.nodes == 1 and self.rdzv_endpoint is None:
            where = ["--standalone"]
        else:
            where = ["--nnodes", str(self.nodes), "--rdzv-backend", "c10d", "--rdzv-endpoint", str(self.rdzv_endpoint)]
        count = "gpu" if self.processes is None else str(self.processes)
        return [*program, *where, "--nproc-per-node", count, "-m", "headstock", *arguments]

    def script(self, arguments: Sequence[str], out: Path | None, name: str) -> str:
        """Return the job script for sbatch.

        Args:
            arguments: Of the ``headstock`` command, without run directory, ``--resume`` and ``--force``.
            out: The run directory; default one named after the job, the same when it is put in the queue again.
            name: The job's name.
        """
        options = {
            "job-name": name,
            "nodes": self.nodes,
            "ntasks-per-node": 1,
            "gpus-per-node": self.gpus_per_node,
            "cpus-per-task": self.cpus_per_task,
            "mem": self.mem,
            "partition": self.partition,
            "account": self.account,
            "time": self.time,
            "output": "slurm-%j.log",
            "signal": "TERM@120",
        }
        first = [word for word in arguments if word in ("--resume", "--force")]
        rest = shlex.join(word for word in arguments if word not in ("--resume", "--force"))
        place = f'"runs/{name}-$SLURM_JOB_ID"' if out is None else shlex.quote(str(out))
        return SCRIPT.format(
            directives="\n".join(f"#SBATCH --{key}={value}" for key, value in options.items() if value is not None),
            first=" ".join(first),
            cpus="" if self.cpus_per_task is None else f" --cpus-per-task={self.cpus_per_task}",
            torchrun=shlex.join(torchrun_program()),
            processes=self.processes,
            arguments=f"{rest} --out {place}",
        )

    def start(self, arguments: Sequence[str], out: Path | None, name: str) -> None:
        """Print the command or the script, or run the one and submit the other.

        Running torchrun does not return: it takes the place of this process, so that signals reach it.

        Args:
            arguments: Of the ``headstock`` command, without the run directory.
            out: The run directory, if one was named.
            name: The job's name.

        Raises:
            HeadstockError: there is no sbatch, or it refuses the job; there is no GPU, and no number of processes was
                given.
        """
        if self.how == "slurm":
            script = self.script(arguments, out, name)
            click.echo(script if self.only_print else submit(script), nl=not self.only_print)
            return
        words = [*arguments, *([] if out is None else ["--out", str(out)])]
        if self.only_print:
            click.echo(shlex.join(self.torchrun(words, torchrun_program())))
            return
        if self.processes is None:
            _check_gpus()
        command = self.torchrun(words, [sys.executable, "-m", "torch.distributed.run"])
        sys.stdout.flush()
        os.execv(sys.executable, command)


def _check_gpus() -> None:
    import torch

    if not torch.cuda.is_available():
        raise HeadstockError("there is no GPU here to have one process for each; say how many with --nproc-per-node")


def torchrun_program() -> list[str]:
    """Return what starts the torchrun of this installation: its name where the shell finds that one."""
    found = shutil.which("torchrun")
    beside = Path(sys.executable).parent
    if found is not None and Path(found).parent == beside:
        return ["torchrun"]
    return [sys.executable, "-m", "torch.distributed.run"]


def submit(script: str) -> str:
    """Hand a job script to sbatch, and return what it says.

    Raises:
        HeadstockError: there is no sbatch, or it refuses the job.
    """
    sbatch = shutil.which("sbatch")
    if sbatch is None:
        raise HeadstockError("there is no sbatch here; run this where jobs are submitted, or see --print-command")
    done = subprocess.run([sbatch], input=script, capture_output=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        raise HeadstockError(f"sbatch refuses the job: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout.strip()


def _plain(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    """Let through what may stand in a line of the script as it is."""
    del context, parameter
    if text is not None and not re.fullmatch(r"[\w.,:+@-]+", text):
        raise click.BadParameter(f"'{text}' has characters that no such name has")
    return text


def _time(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    del context, parameter
    if text is not None and not TIME.fullmatch(text):
        raise click.BadParameter(f"'{text}' is no time limit: MINUTES, HH:MM:SS or DAYS-HH:MM:SS, as sbatch has it")
    return text


def _endpoint(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    del context, parameter
    if text is not None and not re.fullmatch(r"[^\s:/]+(:\d{1,5})?", text):
        raise click.BadParameter(f"'{text}' is not HOST:PORT")
    return text


def launch_options(command: _Command) -> _Command:
    """Give a command the options that :meth:`Launch.of` takes."""
    at_least_one = click.IntRange(min=1)
    for option in (
        click.option("--time", callback=_time, metavar="D-HH:MM:SS", help="With slurm: the job's time limit."),
        click.option("--account", callback=_plain, metavar="NAME", help="With slurm: the account to charge."),
        click.option("--partition", callback=_plain, metavar="NAME", help="With slurm: the partition."),
        click.option("--mem", callback=_plain, metavar="SIZE", help="With slurm: memory for each node, e.g. 64G."),
        click.option("--cpus-per-task", type=at_least_one, metavar="N", help="With slurm: CPUs for each node."),
        click.option("--gpus-per-node", type=at_least_one, metavar="N", help="With slurm: GPUs for each node."),
        click.option(
            "--rdzv-endpoint",
            callback=_endpoint,
            metavar="HOST:PORT",
            help="With torchrun on several nodes: "
            "where they meet, a port of one of them; start the same command on each.",
        ),
        click.option(
            "--nproc-per-node",
            type=at_least_one,
            metavar="N",
            help="Processes for each node; default one for each GPU.",
        ),
        click.option("--nodes", "--nnodes", "nodes", type=at_least_one, metavar="N", help="Nodes; default 1."),
        click.option(
            "--print-command",
            is_flag=True,
            help="With --launch: print torchrun's command or the job script, start nothing.",
        ),
        click.option(
            "--launch",
            type=click.Choice(["torchrun", "slurm"]),
            help="Run on several GPUs: in processes that torchrun starts now, or as a job that is submitted to SLURM.",
        ),
    ):
        command = option(command)
    return command
