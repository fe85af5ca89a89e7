"""Measures how much of a training step is matrix products, and its rate beside that of one large product.

python benchmarks/peers/roof.py                  # benchmarks/results/roof.json
python benchmarks/peers/roof.py --steps 4 --results try.json

Floating-point operations are those of matrix products and convolutions, as torch counts them from the shapes. The image
network is left out: of grouped convolutions' backward pass torch counts many times what is computed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from reference import LIBRARIES
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

import headstock
from headstock.trainer.step.gradient import Gradient

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "roof.json"
WORK = {
    "text_reviews": "bf16",
    "text_lora": "bf16",
    "speech_recognition": "fp32",
}
"""Recipes, and the precision that ``auto`` takes for them on a CPU that multiplies in bfloat16."""

WARM_UP = 5
"""Steps before the clock starts."""

ROWS = 1500
"""Rows of each split at most."""

SIDE = 2048
"""Rows and columns of the large matrices."""

PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "convolution")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure the share and the rate of matrix products.")
    parser.add_argument("--steps", type=int, default=30, help="steps that count")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    record: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python {' '.join(sys.argv)}",
        "threads": torch.get_num_threads(),
        "versions": {name: metadata.version(name) for name in LIBRARIES},
        "peak_gflops": {name: peak(kind) for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16))},
        "work": {},
    }
    for recipe, precision in WORK.items():
        record["work"][recipe] = {"precision": precision, **measure(recipe, precision, given.steps)}
    given.results.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    print(table(record))


def peak(kind: torch.dtype) -> float:
    """Return the rate of a large matrix product, in GFLOP/s: the best of several."""
    left, right = (torch.randn(SIDE, SIDE).to(kind) for _ in range(2))
    seconds = []
    for _ in range(12):
        began = time.perf_counter()
        torch.mm(left, right)
        seconds.append(time.perf_counter() - began)
    return 2 * SIDE**3 / min(seconds) / 1e9


def measure(recipe: str, precision: str, steps: int) -> dict[str, float]:
    """Train for some steps; return milliseconds a step, GFLOP a step, and the share of the time in products.

    Clock, counter and profiler have a run each, since the latter two take their own time.
    """
    content = str((HERE / "recipes" / f"{recipe}.yaml").relative_to(Path.cwd()))
    options = {
        "data.limit": ROWS,
        "trainer.max_steps": WARM_UP + steps,
        "trainer.precision": precision,
        "trainer.log_every": 10_000,
    }
    clock, counter = Clock(), FlopCounterMode(display=False)
    profiler = profile(activities=[ProfilerActivity.CPU])
    for watcher in (clock, counter, profiler):
        with tempfile.TemporaryDirectory() as folder, watched(watcher, steps):
            headstock.run(content, options, out=Path(folder) / "run")
    gflop = counter.get_total_flops() / steps / 1e9
    events = profiler.key_averages()
    in_products = sum(event.self_cpu_time_total for event in events if _is_product(event.key))
    return {
        "milliseconds": clock.seconds / steps * 1e3,
        "gflop": gflop,
        "gflops": gflop * steps / clock.seconds,
        "share_of_products": in_products / sum(event.self_cpu_time_total for event in events),
    }


class Clock:
    """Measures how long it was active."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self._began


@contextmanager
def watched(watcher: AbstractContextManager[Any], steps: int) -> Iterator[None]:
    """Let ``watcher`` be active from the first step that counts to the last one's backward pass."""
    accumulate = Gradient.accumulate
    with ExitStack() as active:

        def inside(gradient: Gradient, batches: Sequence[Any], step: int) -> Any:
            if step == WARM_UP:
                active.enter_context(watcher)
            result = accumulate(gradient, batches, step)
            if step == WARM_UP + steps - 1:
                active.close()
            return result

        with patch.object(Gradient, "accumulate", inside):
            yield


def _is_product(name: str) -> bool:
    words = name.removeprefix("aten::").removeprefix("mkldnn_").removeprefix("_")
    return words in PRODUCTS or words.startswith(("convolution", "linear"))


def table(record: dict[str, Any]) -> str:
    """Return the figures as a Markdown table."""
    peaks = record["peak_gflops"]
    lines = [
        "| work | precision | ms a step | GFLOP a step | GFLOP/s | of one large product | share of time in products |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in record["work"].items():
        of_peak = found["gflops"] / peaks[found["precision"]]
        lines.append(
            f"| {name} | {found['precision']} | {found['milliseconds']:.1f} | {found['gflop']:.1f} "
            f"| {found['gflops']:.0f} | {of_peak:.2f} | {found['share_of_products']:.2f} |"
        )
    lines.append(f"\nOne large product: {peaks['fp32']:.0f} GFLOP/s in fp32, {peaks['bf16']:.0f} in bf16.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
