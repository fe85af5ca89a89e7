"""Times the commands that only list what is installed, as whole processes: what a person waits for.

    python benchmarks/startup.py [--rounds 20] [--out benchmarks/results/startup.json]

Run it in the environment that Headstock is installed in. Rounds are interleaved (every command once, then again), so
that a busy minute falls on all of them; medians and ranges are told, not means. A bare Python interpreter is timed
beside them: no command can be quicker than that.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

COMMANDS = ("tasks", "backbones", "adapters", "plugins", "--help")


def time_command(command: Sequence[str]) -> float:
    """Return the wall-clock seconds of a process from start to end."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def time_rounds(commands: dict[str, list[str]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each command, by name; a first round, which fills disk caches, is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            taken = time_command(command)
            if number:
                seconds[name].append(taken)
    return seconds


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(__file__).parent / "results" / "startup.json",
    help="JSON file to write.",
)
def main(rounds: int, out: Path) -> None:
    """Time the listing commands, print a table, and write the seconds with their provenance as JSON."""
    executable = Path(sys.executable).with_name("headstock")
    if not executable.exists():
        raise click.ClickException(f"headstock is not installed beside {sys.executable}")
    commands = {"python -c pass": [sys.executable, "-c", "pass"]}
    commands |= {f"headstock {name}": [str(executable), name] for name in COMMANDS}
    seconds = time_rounds(commands, rounds)

    # Only now, so that nothing of it is in memory while the commands are timed.
    import torch

    from headstock.atomic import write_json
    from headstock.cli.output import print_table
    from headstock.report.environment import describe_environment
    from headstock_registry import load_catalogue

    rows = [
        (name, f"{statistics.median(taken):.3f}", f"{min(taken):.3f} to {max(taken):.3f}")
        for name, taken in seconds.items()
    ]
    print_table(("command", "median s", "range s"), rows)
    environment = describe_environment(load_catalogue(), torch.device("cpu"), seed=0)
    del environment["seed"]
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "median_seconds": {name: round(statistics.median(taken), 4) for name, taken in seconds.items()},
        "seconds": {name: [round(value, 4) for value in taken] for name, taken in seconds.items()},
        "environment": environment,
    }
    write_json(out, record)
    click.echo(f"written to {out}")


if __name__ == "__main__":
    main()
