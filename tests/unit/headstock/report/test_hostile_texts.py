"""Labels, names and paths are shown; they are no markup, no escape sequences and no lines of their own."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from headstock import Details, RunResult
from headstock.cli.output import note, print_json, print_table
from headstock.console import Console
from headstock.error_text import json_text
from headstock.report.card import model_card
from headstock.report.markdown import block, code, plain
from headstock.report.result import TestResult, TrainingSummary
from headstock.report.table import before_after, metrics_table

HOSTILE = (
    "\x1b[31mred\x1b[0m",
    "a|b",
    "two\nlines\r",
    "<script>x</script>",
    "`x` **b** _i_ [a](b)",
    "\x9b31m",
    "\u202e",
    "\ud800",
)


def result(path: Path) -> RunResult:
    training = TrainingSummary(
        steps=1,
        best_step=1,
        best_metric="a|b",
        best_value=0.9,
        stopped_early=False,
        examples_per_second=1.0,
        seconds=3.0,
        peak_memory_mb=5.0,
    )
    per_class = {label: {"f1": 0.5, "support": 3.0} for label in HOSTILE}
    return RunResult(
        path=path,
        task="some-task",
        backbone="some-backbone",
        adapter="full",
        seed=7,
        parameters=1000,
        trainable_parameters=10,
        examples={"train": 80, "validation": 10, "test": 7},
        skipped={"train": list(HOSTILE)},
        data_remarks=list(HOSTILE),
        training=training,
        before=TestResult(metrics={"loss": 1.0, "a|b": 0.5}, details=Details()),
        after=TestResult(metrics={"loss": 0.4, "a|b": 0.8}, details=Details(per_class=per_class)),
    )


def test_the_card_shows_texts_and_obeys_none(tmp_path: Path) -> None:
    recipe = yaml.safe_dump({"path": "```\n# no heading"})
    text = model_card(result(tmp_path), recipe, "0.1", None, "/a`b\n---\nlicense: x", "x\n---\n\x1b: y", "`call`")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "<script>" not in text
    rows = text[text.index("per class") :].splitlines()[2 : 4 + len(HOSTILE)]
    assert [len(row.replace("\\|", "").split("|")) for row in rows] == [5] * len(rows)
    assert ModelCard(text).data.library_name == "headstock"
    assert "\n---\nlicense" not in text


def test_the_card_explains_the_numbers_of_a_plot(tmp_path: Path) -> None:
    numbered = {f"#{index}": text for index, text in enumerate((*HOSTILE, "好"))}
    text = model_card(result(tmp_path), "", "0.1", None, None, "x", plots={"confusion.png": numbered})
    rows = text[text.index("confusion.png") :].splitlines()[4 : 6 + len(numbered)]
    assert rows[:2] == ["| number | label |", "| --- | ---: |"]
    assert rows[-1] == f"| \\#{len(HOSTILE)} | 好 |"
    assert [len(row.replace("\\|", "").split("|")) for row in rows] == [4] * len(rows)
    assert "no font" not in model_card(result(tmp_path), "", "0.1", None, None, "x", plots={"confusion.png": {}})


def test_tables_and_lines_of_the_console_stay_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = metrics_table({"x": 1.0}, result(tmp_path).after.details)
    assert len(table.splitlines()) == 2 + 1 + 1 + len(HOSTILE)
    stream = io.StringIO()
    for text in HOSTILE:
        Console(stream=stream).line(text)
        note(text)
    print_table(("name", "x"), [(text, "y") for text in HOSTILE])
    captured = capsys.readouterr()
    for printed in (
        table,
        before_after(result(Path(f"{tmp_path}\x1b\n"))),
        stream.getvalue(),
        captured.out,
        captured.err,
    ):
        assert all(character.isprintable() or character == "\n" for character in printed)
    assert len(captured.err.splitlines()) == len(stream.getvalue().splitlines()) == len(HOSTILE)


def test_json_is_the_same_value_in_printable_characters(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"好 é": [*HOSTILE, "\U000e0001", "\x7f"]}
    print_json(value)
    for text in (json_text(value), capsys.readouterr().out):
        assert json.loads(text) == value
        assert "好 é" in text
        assert all(character.isprintable() or character == "\n" for character in text)


def test_code_ends_where_it_should() -> None:
    assert code("a`b") == "``a`b``"
    assert code("`a") == "`` `a ``"
    assert block("a\n```\nb\n", "yaml") == "````yaml\na\n```\nb\n````"
    assert plain("x" * 1000) == "x" * 199 + "…"
