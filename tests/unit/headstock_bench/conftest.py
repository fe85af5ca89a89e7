"""Cells and records made up for tests of the harness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headstock.interfaces import Metric
from headstock_bench.cells import Cell
from headstock_bench.records import Measurement, Provenance, Record

ACCURACY = Metric(name="accuracy", better="higher", summary="fraction of right labels")


class Maker:
    def cell(self, case: str = "a", seed: int = 0, digest: str = "d0") -> Cell:
        return Cell(case, seed, {"task": {"name": "text-classification"}, "seed": seed}, f"{digest}-{seed}", ACCURACY)

    def measurement(self, before: float = 0.25, after: float = 0.75, **values: Any) -> Measurement:
        figures: dict[str, Any] = {
            "examples_per_second": 100.0,
            "seconds": 10.0,
            "peak_memory_mb": 500.0,
            "parameters": 1000,
            "trainable_parameters": 10,
            "steps": 7,
            "resumed": False,
        }
        return Measurement(
            metric="accuracy",
            baseline={"accuracy": 0.125},
            before={"accuracy": before},
            after={"accuracy": after},
            **{**figures, **values},
        )

    def provenance(self, **values: Any) -> Provenance:
        facts: dict[str, Any] = {
            "date": "2030-01-02T03:04:05+00:00",
            "headstock": "1.2.3",
            "commit": "abc",
            "python": "3.12.1",
            "versions": {"headstock": "1.2.3", "torch": "9.9"},
            "plugins": {"text": "headstock 1.2.3"},
            "device": "Some Processor",
            "device_type": "cpu",
            "cpus": 4,
            "threads": 2,
            "platform": "Linux",
        }
        return Provenance(**{**facts, **values})

    def record(self, of: Cell, found: Measurement | None = None, error: str | None = None, **origin: Any) -> Record:
        return Record(
            suite="mine",
            case=of.case,
            seed=of.seed,
            digest=of.digest,
            status="ok" if found else "failed",
            error=error,
            measurement=found,
            process_seconds=1.5,
            provenance=self.provenance(**origin),
        )


@pytest.fixture(scope="session")
def make() -> Maker:
    """What makes cells and records."""
    return Maker()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a results file would be."""
    return tmp_path / "out" / "results.jsonl"
