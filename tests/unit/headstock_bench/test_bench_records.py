import json
import math
from pathlib import Path
from typing import Any

import pytest

from headstock import HeadstockError
from headstock_bench.records import Results


def test_appended_records_are_read_back(make: Any, path: Path) -> None:
    first, second = make.record(make.cell(), make.measurement()), make.record(make.cell(seed=1), error="no such file")
    results = Results(path)
    results.append(first)
    results.append(second)
    assert len(path.read_text("utf-8").splitlines()) == 2
    for read in (results, Results(path)):
        assert read.of(make.cell()) == first
        assert read.of(make.cell(seed=1)) == second
        assert read.of(make.cell(seed=2)) is None
        assert read.of(make.cell(digest="changed")) is None
        assert read.of_all([make.cell(seed=2), make.cell(seed=1), make.cell()]) == [second, first]
        assert read.problems == []


def test_the_newest_record_of_a_cell_counts_and_none_is_lost(make: Any, path: Path) -> None:
    results = Results(path)
    results.append(make.record(make.cell(), error="out of memory"))
    results.append(make.record(make.cell(), make.measurement()))
    newest = Results(path).of(make.cell())
    assert newest is not None
    assert newest.status == "ok"
    assert [json.loads(line)["status"] for line in path.read_text("utf-8").splitlines()] == ["failed", "ok"]


def test_a_torn_line_is_told_and_does_not_spoil_the_next(make: Any, path: Path) -> None:
    Results(path).append(make.record(make.cell(), make.measurement()))
    with path.open("ab") as stream:
        stream.write(b'{"suite": "mine", "ca')
    results = Results(path)
    assert len(results.problems) == 1
    assert "line 2 is left out" in results.problems[0]
    results.append(make.record(make.cell(seed=1), make.measurement()))
    again = Results(path)
    assert again.of(make.cell()) is not None
    assert again.of(make.cell(seed=1)) is not None


def test_figures_that_are_no_numbers_stay_valid_json(make: Any, path: Path) -> None:
    Results(path).append(make.record(make.cell(), make.measurement(after=math.nan)))
    json.loads(path.read_text("utf-8"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    read = Results(path).of(make.cell())
    assert read is not None
    assert read.measurement is not None
    assert math.isnan(read.measurement.after["accuracy"])


def test_results_that_cannot_be_written_are_one_line(make: Any, path: Path) -> None:
    path.parent.write_text("a file where a folder should be", "utf-8")
    with pytest.raises(HeadstockError, match="cannot write"):
        Results(path).append(make.record(make.cell(), make.measurement()))
