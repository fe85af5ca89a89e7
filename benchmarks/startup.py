"""Times the start of commands, as whole processes: what a person waits for before anything is trained.

    python benchmarks/startup.py [--rounds 20] [--model FOLDER] [--out benchmarks/results/startup.json]

Run it in the environment that Headstock is installed in. Rounds are interleaved (every command once, then again), so
that a busy minute falls on all of them; medians and ranges are told, not means. Commands that only list are beside a
bare Python interpreter; dry runs, which do all that a run does before its first step, beside the import of torch, or
of torch and transformers and the loading of the weights. A dry run has an empty cache, its second run a filled one.
"""

from __future__ import annotations

import csv
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click

LISTING = ("tasks", "backbones", "adapters", "plugins", "--help")
MODEL = Path(__file__).parents[2] / "shared" / "data" / "weights" / "all-minilm-l6-v2-fp16"
ROWS = 160
PASS, TORCH, TRANSFORMERS = "pass", "import torch", "import torch, transformers, load weights"
LOAD = "import sys, torch, transformers; transformers.AutoModel.from_pretrained(sys.argv[1])"
WORDS = {"sport": "team match goal season coach", "money": "bank price market shares profit"}


class Timed(NamedTuple):
    """A command that is timed.

    Attributes:
        name: What to call it.
        command: Its command line.
        beside: The name of what it is compared with; ``None`` for that itself.
        again: Whether it finds what it has left in the cache before.
    """

    name: str
    command: Sequence[str]
    beside: str | None
    again: bool = False


def timed_commands(folder: Path, model: Path | None) -> Iterator[Timed]:
    """Yield all commands; ``folder`` is for the data of dry runs. Without ``model`` none needs transformers."""
    executable = str(Path(sys.executable).with_name("headstock"))
    yield Timed(PASS, [sys.executable, "-c", "pass"], None)
    for name in LISTING:
        yield Timed(f"headstock {name}", [executable, name], PASS)
    rows = write_rows(folder / "rows.csv")
    dry_run = [executable, "run", "text-classification", "--dry-run"]
    small = [*dry_run, "backbone=textcnn"]
    runs = {
        "sample": (small, TORCH),
        f"CSV of {ROWS} rows": ([*small, f"data.path={rows}"], TORCH),
        "the same with the default backbone": ([*dry_run, f"data.path={rows}"], TORCH),
    }
    yield Timed(TORCH, [sys.executable, "-c", "import torch"], None)
    if model is not None:
        yield Timed(TRANSFORMERS, [sys.executable, "-c", LOAD, str(model)], None)
        backbone = ["backbone.name=transformers-text", f"backbone.model={model}"]
        runs["the same with transformers"] = ([*dry_run, f"data.path={rows}", *backbone], TRANSFORMERS)
    for name, (command, beside) in runs.items():
        yield Timed(f"dry run, {name}", command, beside)
        yield Timed(f"dry run, {name}, second run", command, beside, again=True)


def write_rows(path: Path) -> Path:
    """Write a CSV file of short texts with two labels; return its path."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for row in range(ROWS):
            label = list(WORDS)[row % len(WORDS)]
            writer.writerow([f"number {row} {WORDS[label]}", label])
    return path


def time_command(timed: Timed, cache: Path) -> float:
    """Return the wall-clock seconds of a process from start to end."""
    with tempfile.TemporaryDirectory() as empty:
        place = {**os.environ, "HEADSTOCK_CACHE": str(cache if timed.again else empty)}
        # pip compiles modules when it installs them; of an editable installation the first round does it.
        place.pop("PYTHONDONTWRITEBYTECODE", None)
        started = time.perf_counter()
        done = subprocess.run(timed.command, check=False, stdin=subprocess.DEVNULL, capture_output=True, env=place)
        taken = time.perf_counter() - started
    if done.returncode:
        raise click.ClickException(f"{shlex.join(timed.command)} failed:\n{done.stderr.decode()[-2000:]}")
    return taken


def time_rounds(commands: Sequence[Timed], rounds: int, cache: Path) -> dict[str, list[float]]:
    """Return the seconds of each command, by name; a first round, which fills disk caches, is not counted."""
    seconds: dict[str, list[float]] = {timed.name: [] for timed in commands}
    for number in range(rounds + 1):
        for timed in commands:
            taken = time_command(timed, cache)
            if number:
                seconds[timed.name].append(taken)
    return seconds


def ratio(seconds: Sequence[float], beside: Sequence[float]) -> tuple[float, float, float]:
    """Return the ratio of the medians, and the least and the greatest of the pairs of one round."""
    pairs = [own / other for own, other in zip(seconds, beside, strict=True)]
    return statistics.median(seconds) / statistics.median(beside), min(pairs), max(pairs)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    default=MODEL.resolve(),
    help="Folder of a text model of transformers; its runs are left out where it is not there.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(__file__).parent / "results" / "startup.json",
    help="JSON file to write.",
)
def main(rounds: int, model: Path, out: Path) -> None:
    """Time the commands, print a table, and write the seconds with their provenance as JSON."""
    executable = Path(sys.executable).with_name("headstock")
    if not executable.exists():
        raise click.ClickException(f"headstock is not installed beside {sys.executable}")
    if not model.is_dir():
        click.echo(f"{model} is not there: runs with a backbone of transformers are left out", err=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        commands = list(timed_commands(folder, model if model.is_dir() else None))
        seconds = time_rounds(commands, rounds, folder / "cache")

    # Only now, so that nothing of it is in memory while the commands are timed.
    import torch

    from headstock.atomic import write_json
    from headstock.cli.output import print_table
    from headstock.report.environment import describe_environment
    from headstock_registry import load_catalogue

    ratios = {each.name: ratio(seconds[each.name], seconds[each.beside]) for each in commands if each.beside}
    rows = []
    for each in commands:
        taken = seconds[each.name]
        cells = (each.name, f"{statistics.median(taken):.3f}", f"{min(taken):.3f} to {max(taken):.3f}")
        found = ratios.get(each.name)
        beside = ("", "") if found is None else (f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})", str(each.beside))
        rows.append((*cells, *beside))
    print_table(("command", "median s", "range s", "ratio (least to most)", "beside"), rows)
    environment = describe_environment(load_catalogue(), torch.device("cpu"), seed=0)
    del environment["seed"]
    out.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "rounds": rounds,
        "median_seconds": {name: round(statistics.median(taken), 4) for name, taken in seconds.items()},
        "ratios": {name: [round(value, 3) for value in found] for name, found in ratios.items()},
        "seconds": {name: [round(value, 4) for value in taken] for name, taken in seconds.items()},
        "environment": environment,
    }
    write_json(out, record)
    click.echo(f"written to {out}")


if __name__ == "__main__":
    main()
