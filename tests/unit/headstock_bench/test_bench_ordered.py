from pathlib import Path
from typing import Any

import pytest

from headstock_bench.ordered import InOrder
from headstock_bench.records import Results


def seeds(path: Path) -> list[int]:
    return [record.seed for record in Results(path).latest] if path.exists() else []


def test_records_are_in_order_though_they_come_in_any(make: Any, path: Path) -> None:
    records = [make.record(make.cell(seed=seed), make.measurement()) for seed in range(4)]
    early = path.with_name("early.jsonl")
    with InOrder(Results(path)) as ordered:
        ordered.add(2, records[2])
        ordered.add(1, records[1])
        assert (seeds(path), seeds(early)) == ([], [2, 1])
        ordered.add(0, records[0])
        assert seeds(path) == [0, 1, 2]
        ordered.add(3, records[3])
    assert path.read_text("utf-8").splitlines() == [record.model_dump_json() for record in records]
    assert not early.exists()


def test_what_came_early_is_recorded_when_an_error_ends_it(make: Any, path: Path) -> None:
    def run() -> None:
        with InOrder(Results(path)) as ordered:
            for seed in (3, 1):
                ordered.add(seed, make.record(make.cell(seed=seed), error="bad"))
            raise RuntimeError("no cluster")

    with pytest.raises(RuntimeError, match="no cluster"):
        run()
    assert seeds(path) == [1, 3]


def test_the_next_benchmark_takes_over_what_a_killed_one_left(make: Any, path: Path) -> None:
    first, second = (make.record(make.cell(seed=seed), make.measurement(resumed=True)) for seed in (0, 1))
    Results(path).append(first)
    early = Results(path.with_name("early.jsonl"))
    early.append(first)
    early.append(second)
    results = Results(path)
    with InOrder(results):
        pass
    assert [line.count('"seed":1') for line in path.read_text("utf-8").splitlines()] == [0, 1]
    assert results.of(make.cell(seed=1)) == second
    assert not early.path.exists()
