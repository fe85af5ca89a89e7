"""Kills runs at random moments and resumes them; ``test_kill_and_resume.py`` starts it.

Each session of a run is a child forked from this process, which has imported everything but computed nothing: a session
takes a fraction of a second instead of the seconds that imports need. One thread everywhere, as thread pools do not
survive a fork.

A line of JSON on standard input (``task``, ``options``, ``folder``, ``kills``) asks for one task: its run goes to
``straight`` without a kill and to ``killed`` with so many. The answer is a line of JSON on standard output: how many
kills struck before training, in it and after it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import headstock
from headstock.console import Console
from headstock.engine.setup import prepare_data
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

CATALOGUE = load_catalogue()
LIMIT = 120
"""Seconds after which a session that has not ended hangs."""


def session(task: str, options: dict[str, Any], out: Path, modules: Path | None = None) -> int:
    """Start a session of a run in a child; return its process number. At its end it writes what it has imported."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        headstock.run(task, options, out=out, resume=True, catalogue=CATALOGUE)
        if modules is not None:
            modules.write_text("\n".join(sys.modules))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> bool:
    """Tell whether a child has ended; it is not waited for yet."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_for(child: int, condition: Callable[[], bool]) -> None:
    """Wait until something is so, or the child has ended."""
    deadline = time.monotonic() + LIMIT
    while not condition() and not ended(child):
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.003)


def lines(path: Path) -> int:
    """Return how many lines a file has, 0 if it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def finish(child: int) -> None:
    """Wait until a child has ended well."""
    _, status = os.waitpid(child, 0)
    if status:
        raise ChildProcessError(f"a session ended with status {status}")


def warm_up(task: str, options: dict[str, Any]) -> None:
    """Do here what every session would do again: make the sample, fill the caches of what data are read with."""
    resolved = resolve_recipe(CATALOGUE, task, options)
    sample = resolved.task.cls(resolved.task.config).sample()
    resolved.task.cls.sample = lambda _: sample
    prepare_data(resolved, Console(quiet=True))


def straight(task: str, options: dict[str, Any], folder: Path) -> None:
    """Run without a kill, and import what that took, so that later sessions need not."""
    warm_up(task, options)
    finish(session(task, options, folder / "straight", folder / "modules.txt"))
    for name in (folder / "modules.txt").read_text().splitlines():
        if name not in sys.modules:
            with contextlib.suppress(Exception):  # not all that is listed there can be imported by its name
                importlib.import_module(name)
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    # A fork keeps one thread. The allocator that pyarrow brings has one of its own, and is prepared for that.
    if len(names) - names.count("jemalloc_bg_thd") > 1:
        raise RuntimeError(f"several threads run: {', '.join(names)}")
    # Children share what is there, and their own garbage collections need not walk over it.
    gc.collect()
    gc.freeze()


def strike(child: int, run: Path, rng: random.Random, setup: float, target: int, total: int) -> None:
    """Wait for a random moment of a session: in its setup, in training before a line of the log, or after training."""
    log = run / "metrics.jsonl"
    late = time.monotonic() + rng.uniform(0, setup)
    if target >= total:
        mark = rng.choice(["metrics.jsonl", "model", "predictions.jsonl"])
        wait_for(child, lambda: lines(log) >= total and (run / mark).exists())
    elif rng.random() < 0.2:
        wait_for(child, lambda: time.monotonic() >= late or lines(log) >= target)
    else:
        wait_for(child, lambda: lines(log) >= target)
    time.sleep(rng.uniform(0, 0.02))


def chain(task: str, options: dict[str, Any], folder: Path, kills: int) -> dict[str, int]:
    """Run once without a kill, and once killed so many times; return how many kills struck in which part of the run."""
    rng = random.Random(task)
    setup = 1.0
    straight(task, options, folder)
    total = lines(folder / "straight/metrics.jsonl")
    run = folder / "killed"
    struck = {"setup": 0, "training": 0, "end": 0}
    for kill in range(kills):
        before = lines(run / "metrics.jsonl")
        # The run must come forward, and not to its end before the last kill.
        target = 1 + (kill + 1) * (total - 3) // (kills - 1)
        child = session(task, options, run)
        strike(child, run, rng, setup, target if kill < kills - 1 else total, total)
        if ended(child):
            finish(child)
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        after = lines(run / "metrics.jsonl")
        struck["end" if after >= total else "setup" if after == before else "training"] += 1
    finish(session(task, options, run))
    return struck


def main() -> None:
    """Answer one line after the other."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = chain(asked["task"], asked["options"], Path(asked["folder"]), asked["kills"])
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
