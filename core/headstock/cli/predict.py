"""``headstock predict``."""

from __future__ import annotations

import difflib
import json
import mimetypes
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headstock.cli.trust import trust_option
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.data import Table
    from headstock.engine.tuned_model import TunedModel
    from headstock.interfaces import Task

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
"""File endings that mean a table of inputs, whatever the task; a task's own formats have more."""

WITH_FOLDERS = re.compile(r"[\w.~+@%=:-]*(/[\w.~+@%=:-]*)+")
"""A path with folders; other punctuation is that of a text."""


@click.command()
@click.argument("run_dir", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("inputs", nargs=-1, metavar="INPUT…")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@trust_option
@click.pass_context
def predict(
    context: click.Context, run_dir: Path, inputs: tuple[str, ...], device: str, trust_remote_code: bool
) -> None:
    """Predict with the tuned model of RUN; one line of JSON an input, in Hugging Face's wire format.

    An INPUT is a text, or a file for tasks that take files. Where the task takes text, a file that exists is read as
    one text. A CSV, TSV, JSONL, Parquet or CoNLL file is read as a table with the task's columns. Without INPUT, or
    with -, standard input is read: one input a line, or a JSON object with several columns. A text that looks like
    the name of a file has to come from there.

    \b
    headstock predict runs/text-classification "what a film" "what a bore"
    headstock predict runs/image-classification photos/*.jpg
    headstock predict runs/text-classification reviews.csv > predictions.jsonl
    """
    from headstock.engine.tuned_model import load

    model = load(run_dir, device=device, catalogue=context.obj.catalogue, trust_remote_code=trust_remote_code)
    takes_files = model.task.columns[0].content == "file"
    texts: list[Any] = []
    for value in inputs or ("-",):
        if value == "-":
            texts += _standard_input()
        elif _is_table(value, model.task):
            _print(model.predict(texts))
            texts = []
            if not os.path.exists(value):
                raise _no_file(value, run_dir, takes_files)
            _print(model.predict_table(_table(model, Path(value))))
        elif not takes_files and os.path.isfile(value):
            texts.append(_content(Path(value)))
        elif not takes_files and _looks_like_a_file(value):
            raise _no_file(value, run_dir, takes_files)
        else:
            texts.append(value)
    _print(model.predict(texts))


def _is_table(value: str, task: Task) -> bool:
    """Tell a table from a text that ends like one: "I lost all of my data.csv"."""
    blank = any(character.isspace() for character in value)
    endings = (*TABLES, *(ending for endings in task.formats.values() for ending in endings))
    return value.lower().endswith(endings) and (os.path.exists(value) or not blank)


def _looks_like_a_file(value: str) -> bool:
    """Tell a mistyped file name from a text: it has folders, or an ending that data or media have, or nearly have."""
    from headstock.data.file_formats import Formats

    if any(character.isspace() for character in value):
        return False
    if WITH_FOLDERS.fullmatch(value):
        return True
    types = mimetypes.MimeTypes().types_map[True]
    media = [suffix for suffix, kind in types.items() if kind.startswith(("image/", "audio/", "video/"))]
    known = [suffix[1:] for suffix in (*Formats().suffixes, ".txt", *media) if len(suffix) > 3]
    ending = os.path.splitext(value)[1][1:].casefold()
    swapped = len(ending) > 2 and sorted(ending) in map(sorted, known)
    return swapped or bool(difflib.get_close_matches(ending, known, n=1, cutoff=0.8))


def _no_file(value: str, run_dir: Path, takes_files: bool) -> HeadstockError:
    reason = "it is a folder" if os.path.isdir(value) else "no such file"
    command = f"echo {shlex.quote(value)} | headstock predict {shlex.quote(str(run_dir))}"
    as_text = "" if takes_files else f"; if it is meant as a text, give it on standard input: {command}"
    return HeadstockError(f"cannot read {value}: {reason}{as_text}")


def _content(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise HeadstockError(f"{path} is not a text in UTF-8, and the task takes text") from error
    except OSError as error:
        raise HeadstockError(f"cannot read {path}: {error.strerror or error}") from error


def _standard_input() -> list[Any]:
    if sys.stdin.isatty():
        click.echo("reading standard input, one input a line; end with Ctrl-D", err=True)
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
    from headstock.data import DataConfig, load_table

    config = DataConfig(columns=model.columns)
    return load_table(path, config, model.task.columns, need_targets=False, reader=model.task)


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
