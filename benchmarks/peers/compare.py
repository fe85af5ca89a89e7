"""Trains the same models with Headstock and with the Trainer of transformers (or another's loop), by turns.

python benchmarks/peers/compare.py                # everything: all tasks, seeds 0, 1, 2
python benchmarks/peers/compare.py --task text_classification --seeds 0 --limit 64 --results try.json
python benchmarks/peers/compare.py --table        # only the table of what was measured before
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import records
import tiny
import yaml
from reference import LIBRARIES, SCRIPTS, VARIANTS

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
RUN_LOOP = (sys.executable, str(HERE.relative_to(ROOT) / "run_loop.py"))
RESULTS = HERE.parent / "results" / "peers.json"

METRICS = {
    "text_classification": ("accuracy", "higher"),
    "text_reviews": ("accuracy", "higher"),
    "text_lora": ("accuracy", "higher"),
    "text_probe": ("accuracy", "higher"),
    "text_probe_again": ("accuracy", "higher"),
    "text_tiny": ("accuracy", "higher"),
    "text_base": ("accuracy", "higher"),
    "token_classification": ("f1", "higher"),
    "image_classification": ("accuracy", "higher"),
    "speech_recognition": ("wer", "lower"),
    "object_detection": ("map", "higher"),
}
"""By task the test metric that is compared, and whether higher or lower is better; it also chooses the best epoch."""

FOR_A_GPU = ("text_base",)
"""Tasks that are left out unless they are named: a CPU takes too long."""

OWN_LOOP = {"object_detection": "tv_object_detection"}
"""Tasks that are compared with the reference loop of another library than transformers."""

AGAIN = {"text_probe_again": "text_probe"}
"""Tasks for which the second run of a recipe is measured: what the first one left in the cache is there."""

SHOWN_ERROR = 2000
"""Characters of a failed run's error output that are shown."""


class Turn(NamedTuple):
    """One run of one side.

    Attributes:
        side: ``headstock``, ``trainer-`` with the variant, or the library whose loop it is.
        command: Its command line, without the place for results.
    """

    side: str
    command: list[str]


def main() -> None:
    """Measure and print the table."""
    given = _arguments()
    comparison = now()
    if not given.table:
        tiny.make()
        for task in given.task or [name for name in METRICS if name not in FOR_A_GPU]:
            if given.check and task not in OWN_LOOP:
                _call([sys.executable, str(HERE / "check.py"), task])
                say(f"{task}: both sides are the same model on the same data")
            for precision in given.precision or [None]:
                _compare(task, precision, comparison, given)
    found = records.read(given.results)
    print(records.table(found if given.table else [each for each in found if each["comparison"] == comparison]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare Headstock with the Trainer of transformers.")
    parser.add_argument("--task", nargs="+", choices=METRICS, help="default: all but text_base")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, default=["best"], help="default: best")
    parser.add_argument(
        "--precision",
        nargs="+",
        choices=["fp32", "bf16"],
        help="of all but the variant defaults; default: what the recipe says",
    )
    parser.add_argument("--limit-epochs", type=int, help="epochs at most")
    parser.add_argument("--limit", type=int, help="rows of each split at most, for a quick try")
    parser.add_argument("--check", action="store_true", help="first check that both sides are the same model")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file of records that is appended to")
    parser.add_argument("--table", action="store_true", help="measure nothing, print the table of all records")
    return parser.parse_args()


def _compare(task: str, precision: str | None, comparison: str, given: argparse.Namespace) -> None:
    recipe = HERE / "recipes" / f"{AGAIN.get(task, task)}.yaml"
    trainer = yaml.safe_load(recipe.read_text("utf-8"))["trainer"]
    epochs = min(trainer["epochs"], given.limit_epochs or trainer["epochs"])
    metric, better = METRICS[task]
    for seed in given.seeds:
        environment: dict[str, Any] = {}
        for turn in turns(task, recipe.relative_to(ROOT), precision, epochs, given.limit, seed, given.variant):
            say(f"{task}, seed {seed}: {turn.side}")
            if turn.side == records.OURS:
                figures, environment = run_headstock(turn.command, epochs, again=task in AGAIN)
            else:
                figures = run_reference(turn.command, environment)
            record = {
                "comparison": comparison,
                "date": now(),
                "task": task,
                "side": turn.side,
                "precision": precision or trainer["precision"],
                "seed": seed,
                "epochs": epochs,
                "limit": given.limit,
                "metric": metric,
                "better": better,
                **figures,
                "command": shlex.join(["python", *turn.command[1:]]),
                "environment": environment,
            }
            records.append(given.results, record)


def turns(
    task: str,
    recipe: Path,
    precision: str | None,
    epochs: int,
    limit: int | None,
    seed: int,
    variants: Sequence[str],
) -> Iterator[Turn]:
    """Yield the runs of one seed: Headstock's, then the others'. ``task`` is what METRICS calls it."""
    options = {"seed": seed, "trainer.epochs": epochs}
    flags = {"--seed": seed, "--epochs": epochs}
    if precision is not None:
        options["trainer.precision"], flags["--precision"] = precision, precision
    if limit is not None:
        options["data.limit"], flags["--limit"] = limit, limit
    overrides = [f"{name}={value}" for name, value in options.items()]
    yield Turn(records.OURS, [sys.executable, "-m", "headstock", "run", str(recipe), *overrides])
    arguments = [str(part) for pair in flags.items() for part in pair]
    if task in OWN_LOOP:
        yield Turn(
            "torchvision",
            [*RUN_LOOP, OWN_LOOP[task], str(recipe), *arguments],
        )
        return
    for variant in variants:
        command = [*RUN_LOOP, f"hf_{SCRIPTS.get(task, task)}", str(recipe), *arguments, "--variant", variant]
        if variant == "defaults":  # what the Trainer does unasked
            command += ["--precision", "fp32"]
        yield Turn(variant if variant == "lightning" else f"trainer-{variant}", command)


def run_headstock(command: Sequence[str], epochs: int, again: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run Headstock; return its figures and what it says of where it ran. ``again``: those of a second run."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        # A cache of its own, so that no features are read that another run has left.
        cache = {"HEADSTOCK_CACHE": str(Path(folder) / "cache")}
        for _ in range(2 if again else 1):
            _call([*command, "--out", str(run), "--quiet", "--force"], cache)
        return read_run(run, epochs)


def read_run(run: Path, epochs: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the figures of a finished run of Headstock and what it says of where it ran."""
    result = json.loads((run / "results.json").read_text("utf-8"))
    environment = json.loads((run / "environment.json").read_text("utf-8"))
    training = result["training"]
    names = ("steps", "best_value", "encoding_seconds", "seconds", "peak_memory_mb")
    trained = result["examples"]["train"] * epochs
    # What a frozen encoder makes of all splits is computed before training, and counts as training.
    seconds = trained / training["examples_per_second"] + training["encoding_seconds"]
    figures = {
        "parameters": result["parameters"],
        "examples": result["examples"],
        "examples_per_second": trained / seconds,
        **{name: training[name] for name in names},
        "before": result["before"]["metrics"],
        "after": result["after"]["metrics"],
    }
    if training["stopped_early"]:
        raise SystemExit("Headstock stopped early; the recipe must set trainer.patience to null")
    environment["versions"]["accelerate"] = metadata.version("accelerate")
    return figures, {name: value for name, value in environment.items() if name != "seed"}


def run_reference(command: Sequence[str], environment: Mapping[str, Any]) -> dict[str, Any]:
    """Run a reference script and return its figures; it must run where Headstock ran."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "record.json"
        _call([*command, "--out", str(out)])
        figures: dict[str, Any] = json.loads(out.read_text("utf-8"))
    place = figures.pop("environment")
    place.pop("lightning", None)
    here = {name: environment["versions"][name] if name in LIBRARIES else environment[name] for name in place}
    if place != here:
        raise SystemExit(f"the Trainer ran with {place}, Headstock with {here}")
    return figures


def _call(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a command from the repository's root in a process of its own.

    Raises:
        SystemExit: it failed; says why.
    """
    place = {**os.environ, **(variables or {})}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=place)
    if done.returncode:
        raise SystemExit(f"{shlex.join(command)} failed ({done.returncode}):\n{done.stderr[-SHOWN_ERROR:]}")


def now() -> str:
    """Return the time of day, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def say(line: str) -> None:
    """Tell whoever waits."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
