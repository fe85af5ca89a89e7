"""``headstock predict``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.data import Table
    from headstock.engine.tuned import TunedModel

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".conll")
"""File endings that mean a table of inputs, whatever the task."""


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, metavar="INPUT…")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.pass_context
def predict(context: click.Context, run_dir: Path, inputs: tuple[str, ...], device: str) -> None:
    """Predict with the tuned model of RUN; one line of JSON an input, in Hugging Face's wire format.

    An INPUT is a text, or a file for tasks that take files. Where the task takes text, a file that exists is read as
    one text. A CSV, TSV, JSONL, Parquet or CoNLL file is read as a table with the task's columns. Without INPUT, or
    with -, standard input is read: one input a line, or a JSON object with several columns.

    \b
    headstock predict runs/text-classification "what a film" "what a bore"
    headstock predict runs/image-classification photos/*.jpg
    headstock predict runs/text-classification reviews.csv > predictions.jsonl
    """
    from headstock.engine.tuned import load

    model = load(run_dir, device=device, catalogue=context.obj.catalogue)
    takes_files = model.task.columns[0].content == "file"
    texts: list[Any] = []
    for value in inputs or ("-",):
        if value == "-":
            texts += _standard_input()
        elif _is_table(value):
            _print(model.predict(texts))
            texts = []
            _print(model.predict_table(_table(model, Path(value))))
        elif not takes_files and os.path.isfile(value):
            texts.append(_content(Path(value)))
        else:
            texts.append(value)
    _print(model.predict(texts))


def _is_table(value: str) -> bool:
    """Tell a table from a text that ends like one: "I lost all of my data.csv"."""
    blank = any(character.isspace() for character in value)
    return value.lower().endswith(TABLES) and (os.path.exists(value) or not blank)


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise HeadstockError(f"{path} is not a text in UTF-8, and the task takes text") from error
    except OSError as error:
        raise HeadstockError(f"cannot read {path}: {error.strerror or error}") from error


def _standard_input() -> list[Any]:
    rows: list[Any] = []
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise HeadstockError(f"standard input, line {number}: not UTF-8") from error
        if text.strip():
            rows.append(_row(text))
    return rows


def _table(model: TunedModel, path: Path) -> Table:
    from headstock.data import load_table

    if not path.exists():
        raise HeadstockError(f"cannot read {path}: no such file")
    return load_table(path, "auto", model.task.columns, model.columns, need_targets=False)


def _row(line: str) -> Any:
    """Return a line of standard input: a JSON object is a row of several columns, anything else is the main input."""
    if line.startswith("{"):
        try:
            return json.loads(line)
        except json.JSONDecodeError as error:
            raise HeadstockError(f"standard input: '{line[:40]}' looks like JSON but is not: {error}") from error
    return line


def _print(predictions: list[Any]) -> None:
    for prediction in predictions:
        click.echo(json.dumps(prediction, ensure_ascii=False))
