from pathlib import Path
from typing import Any

import pytest

from headstock_bench.cells import Cell
from headstock_bench.records import Results
from headstock_bench.suite import Case, Suite
from headstock_bench.summary import summarise
from headstock_bench.table import HEADER, failure_lines, markdown_page, table_rows


@pytest.fixture
def cells(make: Any) -> list[Cell]:
    return [
        make.cell(seed=0),
        make.cell(seed=1),
        make.cell(seed=2),
        make.cell("b", 0),
        make.cell("c", 0),
        make.cell("c", 1),
    ]


@pytest.fixture
def results(make: Any, cells: list[Cell], path: Path) -> Results:
    results = Results(path)
    results.append(
        make.record(cells[0], make.measurement(0.25, 0.7, examples_per_second=90.0, peak_memory_mb=400.0, seconds=9.0))
    )
    results.append(
        make.record(
            cells[1], make.measurement(0.25, 0.8, examples_per_second=100.0, peak_memory_mb=700.0, seconds=12.0)
        )
    )
    results.append(
        make.record(
            cells[2], make.measurement(0.25, 0.9, examples_per_second=500.0, seconds=1.0, resumed=True), commit="def"
        )
    )
    results.append(make.record(cells[3], error="no | file", device=None))
    results.append(make.record(cells[4], make.measurement(0.5, 0.5, examples_per_second=0.0, resumed=True)))
    return results


def test_summary_has_mean_deviation_median_and_maximum(cells: list[Cell], results: Results) -> None:
    first, second, third = summarise(cells, results)
    figures = first.figures
    assert figures is not None
    assert first.done == (0, 1, 2)
    assert (figures.before.mean, figures.before.std) == (0.25, 0.0)
    assert (figures.after.mean, figures.after.std) == (pytest.approx(0.8), pytest.approx(0.1))  # n - 1 = 2
    assert figures.examples_per_second == 100.0
    assert figures.peak_memory_mb == 700.0
    assert figures.seconds == 10.5  # an interrupted run has no time
    assert (second.failed, second.figures) == ({0: "no | file"}, None)
    assert (third.done, third.waiting) == ((0,), (1,))
    assert third.figures is not None
    assert third.figures.after.std is None
    assert (third.figures.seconds, third.figures.examples_per_second) == (None, None)


def test_rows_of_the_table(cells: list[Cell], results: Results) -> None:
    rows = table_rows(summarise(cells, results))
    assert all(len(row) == len(HEADER) for row in rows)
    figures = ("0.1250 ± 0.0000", "0.2500 ± 0.0000", "0.8000 ± 0.1000", "100.0", "700", "10")
    assert rows[0] == ("a", "3/3", "accuracy ↑", *figures)
    assert rows[1] == ("b", "0/1, 1 failed", "accuracy ↑", "", "", "", "", "", "")
    assert rows[2] == ("c", "1/2", "accuracy ↑", "0.1250", "0.5000", "0.5000", "", "500", "")
    assert failure_lines(summarise(cells, results)) == ["b seed 0: no | file"]


def test_page_says_where_its_figures_come_from(cells: list[Cell], results: Results) -> None:
    suite = Suite(name="mine", summary="for a test", cases={"a": Case(task="t")})
    page = markdown_page(suite, summarise(cells, results), results.of_all(cells), "headstock bench mine.yaml")
    assert "| a | 3/3 | accuracy ↑ | 0.1250 ± 0.0000 | 0.2500 ± 0.0000 | 0.8000 ± 0.1000 | 100.0 | 700 | 10 |" in page
    assert "- command: `headstock bench mine.yaml`" in page
    assert "- machine: Some Processor, 4 CPUs, 2 threads, Linux\n" in page
    assert "- headstock: 1.2.3, commit abc; 1.2.3, commit def\n" in page
    assert "- versions: Python 3.12.1, torch 9.9\n" in page
    assert "2030-01-02" in page
    assert "- b seed 0: no | file" in page


def test_page_without_any_record(cells: list[Cell]) -> None:
    suite = Suite(name="mine", summary="for a test", cases={"a": Case(task="t")})
    page = markdown_page(suite, summarise(cells, Results(Path("none.jsonl"))), [], "headstock bench mine.yaml")
    assert "| a | 0/3 |" in page
    assert "machine" not in page
