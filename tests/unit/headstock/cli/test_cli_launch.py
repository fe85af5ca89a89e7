"""``headstock run --launch``: what torchrun and sbatch are given."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from headstock.cli.main import cli as command

RUN = ("run", "text-classification", "backbone=textcnn", "data.limit=40")
ECHO = "#!{python}\nimport json, os, pathlib, sys\nwith open({seen!r}, 'w') as out:\n    json.dump(sys.argv[1:], out)\n"


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Put programs on the search path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def add(name: str, source: str) -> None:
        (folder / name).write_text(source, "utf-8")
        (folder / name).chmod(0o755)

    return add


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--nodes", "2"], "--nodes goes with --launch torchrun or slurm"),
        (["--print-command"], "--print-command goes with --launch"),
        (["--launch", "torchrun", "--partition", "gpu"], "--partition goes with --launch slurm"),
        (["--launch", "torchrun", "--gpus-per-node", "8"], "--gpus-per-node goes with --launch slurm"),
        (["--launch", "slurm", "--rdzv-endpoint", "a:1"], "--rdzv-endpoint goes with --launch torchrun"),
        (["--launch", "torchrun", "--nnodes", "2"], "several nodes need a place to meet: --rdzv-endpoint HOST:PORT"),
        (["--launch", "slurm"], "say how many GPUs each node has: --gpus-per-node 8"),
        (["--launch", "slurm", "--gpus-per-node", "1", "--time", "a day"], "'a day' is no time limit"),
        (["--launch", "slurm", "--gpus-per-node", "1", "--partition", "a\n#SBATCH --uid=0"], "no such name has"),
        (["--launch", "torchrun", "--dry-run"], "--dry-run checks the run here and now; leave out --launch"),
        (["--launch", "torchrun", "trainer.epochz=1"], "did you mean"),
    ],
)
def test_options_that_do_not_fit_are_one_line(options: list[str], message: str) -> None:
    answer = invoke(*RUN, *options)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"standalone": True, "nproc_per_node": "gpu"}),
        (["--nproc-per-node", "8"], {"standalone": True, "nproc_per_node": "8"}),
        (
            ["--nnodes", "2", "--nproc-per-node", "8", "--rdzv-endpoint", "node0:29500"],
            {"nnodes": "2", "nproc_per_node": "8", "rdzv_backend": "c10d", "rdzv_endpoint": "node0:29500"},
        ),
    ],
)
def test_torchrun_takes_the_printed_command(options: list[str], expected: dict[str, Any]) -> None:
    from torch.distributed.run import get_args_parser

    words = ("--out", "my run", "--quiet", "--trust-remote-code", "--launch", "torchrun", "--print-command")
    answer = invoke(*RUN, *words, *options)
    assert answer.exit_code == 0, answer.stderr
    program, *words = shlex.split(answer.stdout)
    if program != "torchrun":
        assert (program, *words[:2]) == (sys.executable, "-m", "torch.distributed.run")
        del words[:2]
    parsed = vars(get_args_parser().parse_args(words))
    assert expected.items() <= parsed.items()
    assert parsed["module"]
    assert parsed["training_script"] == "headstock"
    assert parsed["training_script_args"] == [*RUN, "--quiet", "--trust-remote-code", "--out", "my run"]


def test_without_a_gpu_torchrun_needs_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    answer = invoke(*RUN, "--launch", "torchrun")
    assert answer.exit_code == 2
    assert "say how many with --nproc-per-node" in answer.stderr


def slurm(*options: str) -> str:
    answer = invoke(*RUN, "--launch", "slurm", "--gpus-per-node", "8", "--print-command", *options)
    assert answer.exit_code == 0, answer.stderr
    return answer.stdout


def test_the_job_asks_for_what_was_given() -> None:
    script = slurm(
        *("--nodes", "2", "--cpus-per-task", "96", "--mem", "900G"),
        *("--partition", "gpu,long", "--account", "me", "--time", "1-12:00:00"),
    )
    directives = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]
    assert directives == [
        *("--job-name=text-classification", "--nodes=2", "--ntasks-per-node=1", "--gpus-per-node=8"),
        *("--cpus-per-task=96", "--mem=900G", "--partition=gpu,long", "--account=me", "--time=1-12:00:00"),
        *("--output=slurm-%j.log", "--signal=TERM@120"),
    ]
    few = slurm()
    assert "--partition" not in few
    assert "--cpus-per-task" not in few
    processes = invoke(*RUN, "--launch", "slurm", "--nproc-per-node", "4", "--print-command").stdout
    assert "--gpus-per-node" not in processes
    assert "--nproc-per-node 4" in processes


@pytest.mark.parametrize(
    ("options", "restarts", "ending"),
    [
        ([], "", ["--out", "runs/text-classification-1234567"]),
        ([], "1", ["--out", "runs/text-classification-1234567", "--resume"]),
        (["--out", "it's mine", "--force"], "0", ["--out", "it's mine", "--force"]),
        (["--out", "it's mine", "--force"], "2", ["--out", "it's mine", "--resume"]),
    ],
)
def test_the_job_starts_one_torchrun_on_each_node(
    options: list[str], restarts: str, ending: list[str], programs: Callable[[str, str], None], tmp_path: Path
) -> None:
    from torch.distributed.run import get_args_parser

    programs("scontrol", '#!/bin/sh\n[ "$3" = "n[1-2]" ] && printf "n1\\nn2\\n"\n')
    programs("srun", ECHO.format(python=sys.executable, seen=str(tmp_path / "seen")))
    job = {"SLURM_JOB_NODELIST": "n[1-2]", "SLURM_NNODES": "2", "SLURM_JOB_ID": "1234567"}
    if restarts:
        job["SLURM_RESTART_COUNT"] = restarts
    script = slurm("--nodes", "2", "--cpus-per-task", "96", *options)
    subprocess.run(["bash"], input=script, env={**os.environ, **job}, encoding="utf-8", check=True)
    words = json.loads((tmp_path / "seen").read_text("utf-8"))
    assert words[:3] == ["--ntasks-per-node=1", "--kill-on-bad-exit=1", "--cpus-per-task=96"]
    parsed = get_args_parser().parse_args(words[words.index("--nnodes") :])
    assert (parsed.nnodes, parsed.nproc_per_node, parsed.rdzv_id) == ("2", "8", "1234567")
    assert (parsed.rdzv_backend, parsed.rdzv_endpoint) == ("c10d", "n1:24567")
    assert parsed.training_script_args == [*RUN, *ending]


def test_sbatch_gets_the_script(programs: Callable[[str, str], None], tmp_path: Path) -> None:
    programs("sbatch", f'#!/bin/sh\ncat > "{tmp_path}/submitted"\necho Submitted batch job 7\n')
    answer = invoke(*RUN, "--launch", "slurm", "--gpus-per-node", "8")
    assert (answer.exit_code, answer.stdout) == (0, "Submitted batch job 7\n")
    assert (tmp_path / "submitted").read_text("utf-8") == slurm()


def test_what_sbatch_says_against_it_is_one_line(programs: Callable[[str, str], None]) -> None:
    programs("sbatch", "#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpu' >&2\nexit 1\n")
    answer = invoke(*RUN, "--launch", "slurm", "--gpus-per-node", "8", "--partition", "gpu")
    assert answer.exit_code == 2
    assert answer.stderr == "error: sbatch refuses the job: sbatch: error: invalid partition specified: gpu\n"


def test_without_sbatch_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    answer = invoke(*RUN, "--launch", "slurm", "--gpus-per-node", "8")
    assert answer.exit_code == 2
    assert "there is no sbatch here" in answer.stderr


@pytest.mark.slow
def test_torchrun_runs_it(cli: Any, tmp_path: Path) -> None:
    done = cli(
        *(*RUN, "trainer.max_steps=1", "--out", "mine", "--quiet"),
        *("--launch", "torchrun", "--nproc-per-node", "1"),
        env={"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert (tmp_path / "mine" / "results.json").exists()
