"""Runs ``headstock`` commands in children forked from one process; ``conftest.py`` starts it.

A command on little data spends four fifths of its time on importing torch and its company. This process has imported
them, and nothing of Headstock: a child begins where an interpreter would be that has just imported those libraries, and
imports Headstock, finds plugins and ends as any other. One thread, as thread pools do not survive a fork.

A line of JSON on standard input asks for a command: ``arguments``, ``folder``, ``env``, the files ``stdin``, ``stdout``
and ``stderr``, and how many seconds it may take (``timeout``). The answer is its exit code, negative for a signal.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LIBRARIES = (
    "torch._dynamo",  # comes with the first optimizer
    "torch.distributed.fsdp",
    "sklearn.metrics",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "datasets",
    "pyarrow.parquet",
    "transformers",
    "transformers.models.bert.modeling_bert",
    "peft",
)
"""What most commands import, by far the most of their time."""


def main() -> None:
    """Answer until the input ends; in a child, run the command and return."""
    own = [str(Path(__file__).parent), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    path = [part for part in sys.path if part not in own]
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # a command that needs it will say so
            importlib.import_module(name)
    if len(threads := names_of_threads()) > 1:
        raise RuntimeError(f"several threads run: {', '.join(threads)}")
    # Children share what is there, and their own garbage collections need not walk over it.
    gc.collect()
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            command(json.loads(line), path)
            break
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def names_of_threads() -> list[str]:
    """Return the threads of this process but for that of pyarrow's allocator, which is prepared for a fork."""
    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return [name for name in names if name != "jemalloc_bg_thd"]


def command(asked: Mapping[str, Any], path: list[str]) -> None:
    """Be ``python -m headstock`` as it is asked for."""
    for descriptor, (name, flags) in enumerate(
        [(asked["stdin"], os.O_RDONLY), (asked["stdout"], os.O_WRONLY), (asked["stderr"], os.O_WRONLY)]
    ):
        os.dup2(os.open(name, flags), descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the other has read ahead
    signal.alarm(asked["timeout"])  # ends the process
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["env"])
    first = [part for part in asked["env"].get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [asked["folder"], *first, *path]
    if any(Path(part, "sitecustomize.py").exists() for part in first):  # an interpreter runs it at its start
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")
    sys.argv[1:] = asked["arguments"]
    runpy.run_module("headstock", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
