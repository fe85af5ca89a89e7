"""Tells what the inputs of ``predict`` are: texts, media files, tables, folders, or lines of standard input."""

from __future__ import annotations

import difflib
import mimetypes
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from headstock.cli.output import note
from headstock.data import DataConfig, GivenRows, Table, given_row
from headstock.data.config import OF_THE_SOURCE
from headstock.data.file_formats import AUTO, Formats
from headstock.files import ReadError, parse_json, read_utf8
from headstock.interfaces import BadExampleError
from headstock_registry import HeadstockError

if TYPE_CHECKING:
    from headstock.engine.tuned_model import TunedModel

WITH_FOLDERS = re.compile(r"[\w.~+@%=:-]*(/[\w.~+@%=:-]*)+")
"""A path with folders; other punctuation is that of a text."""

OPTION = re.compile(r"(?P<data>data\.)?(?P<name>\w+)(\.[^=\s]+)*=")
"""How an option of the data begins."""


class Given(NamedTuple):
    """One input that is not part of a table.

    Attributes:
        place: Where it comes from, for people.
        row: Values by the task's column names.
        from_file: Whether it is a file.
        problem: Why it cannot even be read, or ``None``.
    """

    place: str
    row: Mapping[str, Any]
    from_file: bool = False
    problem: str | None = None


class Source(NamedTuple):
    """Rows to predict, and for each whether it comes from a file; all do where ``from_file`` is ``None``."""

    table: Table
    from_file: Sequence[bool] | None = None


def is_option(text: str) -> bool:
    """Tell whether an argument is an option of the data: ``columns.text=review``, ``data.format=csv``."""
    match = OPTION.match(text)
    if match is None:
        return False
    return bool(match["data"]) or match["name"] in set(DataConfig.model_fields) - OF_THE_SOURCE


class Inputs:
    """Reads what is given on the command line.

    Args:
        model: Whose task says whether inputs are texts or files.
        run_dir: The run, for messages.
        written: Options of the data as texts, ``columns.text=review``.
        options: What they say, see :func:`headstock.cli.options.data.data_options`.
    """

    def __init__(self, model: TunedModel, run_dir: Path, written: Sequence[str], options: Mapping[str, Any]) -> None:
        self._model, self._run_dir = model, run_dir
        self._written, self._options = written, options
        self._columns = model.task.data_columns
        self._tables = Formats(AUTO, model.task.formats).suffixes
        self._takes_files = self._columns[0].content == "file"
        mapping = self._options.get("columns")
        self._mapping = {**model.data.columns, **(mapping if isinstance(mapping, dict) else {})}

    def sources(self, values: Sequence[str]) -> list[Source]:
        """Return the rows of all inputs, in order.

        Raises:
            HeadstockError: a file or folder cannot be read, or options are given that nothing here heeds.
        """
        sources: list[Source] = []
        given: list[Given] = []
        for number, value in enumerate(values, start=1):
            if value == "-":
                given += self._standard_input()
            elif self._is_data(value):
                sources += self._together(given)
                given = []
                if not os.path.exists(value):
                    raise self._no_file(value)
                sources.append(Source(self._model.table({**self._options, "path": value})))
            else:
                given.append(self._one(value, f"input {number}"))
        sources += self._together(given)
        heeded = "-" in values or any(source.from_file is None for source in sources)
        unheeded = [text for text in self._written if not text.removeprefix("data.").startswith("on_bad_example=")]
        if unheeded and not heeded:
            raise HeadstockError(
                f"{unheeded[0]} is an option of data in a file, and no such file is given; if it is meant as a text, "
                f"give it on standard input: {self._echo(unheeded[0])}"
            )
        return sources

    def _is_data(self, value: str) -> bool:
        """Tell a table or folder from a text that ends like one: "I lost all of my data.csv"."""
        if os.path.isdir(value):
            return self._takes_files or "/" in value  # a single word is a text, whatever folders lie here
        media = self._takes_files and value.casefold().endswith(self._columns[0].suffixes)
        chosen = self._options.get("format", self._model.data.format)
        if os.path.isfile(value) and not media and chosen != AUTO:
            return True
        blank = any(character.isspace() for character in value)
        return value.casefold().endswith(self._tables) and (os.path.exists(value) or not blank)

    def _together(self, given: Sequence[Given]) -> list[Source]:
        if not given:
            return []
        rows = GivenRows(
            "input",
            [each.row for each in given],
            tuple(column.name for column in self._columns),
            places=[each.place for each in given],
            problems={number: each.problem for number, each in enumerate(given) if each.problem is not None},
        )
        return [Source(Table(rows), [each.from_file for each in given])]

    def _one(self, value: str, place: str) -> Given:
        if self._takes_files:
            return self._row(value, value, from_file=True)
        if os.path.isfile(value):
            return self._content(Path(value))
        if self._looks_like_a_file(value):
            raise self._no_file(value)
        return self._row(place, value)

    def _row(self, place: str, value: Any, from_file: bool = False) -> Given:
        """Return the row that a value of the main column or a mapping of several is, or why it is none."""
        try:
            return Given(place, given_row(value, self._columns, self._mapping), from_file)
        except BadExampleError as error:
            return Given(place, {}, from_file, str(error))

    def _content(self, path: Path) -> Given:
        try:
            text = read_utf8(path).strip()
        except ReadError as error:
            raise HeadstockError(f"{error}; the task takes text") from error
        lines = text.count("\n") + 1
        if lines > 1:
            command = f"headstock predict {shlex.quote(str(self._run_dir))} < {shlex.quote(str(path))}"
            note(f"{path} is read as one text of {lines} lines; if each is a text: {command}")
        return self._row(str(path), text, from_file=True)

    def _standard_input(self) -> list[Given]:
        if sys.stdin.isatty():
            click.echo("reading standard input, one input a line; end with Ctrl-D", err=True)
        return [
            self._line(line, f"standard input, line {number}") for number, line in enumerate(sys.stdin.buffer, start=1)
        ]

    def _line(self, line: bytes, place: str) -> Given:
        """Read a line: a JSON object is a row of several columns, anything else is the main input."""
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            return Given(place, {}, problem="not UTF-8")
        if self._takes_files and not text.strip():
            return Given(place, {}, problem="the line is empty")
        if not text.startswith("{"):
            return self._row(place, text)
        try:
            value = parse_json(text, place, line=0)
        except ReadError as error:
            return Given(place, {}, problem=str(error))
        return self._row(place, value)

    def _looks_like_a_file(self, value: str) -> bool:
        """Tell a mistyped file name from a text: it has folders, or an ending that files have, or nearly have."""
        if any(character.isspace() for character in value):
            return False
        if WITH_FOLDERS.fullmatch(value):
            return True
        types = mimetypes.MimeTypes().types_map[True]
        media = [suffix for suffix, kind in types.items() if kind.startswith(("image/", "audio/", "video/"))]
        known = [suffix[1:] for suffix in (*self._tables, ".txt", *media) if len(suffix) > 3]
        ending = os.path.splitext(value)[1][1:].casefold()
        swapped = len(ending) > 2 and sorted(ending) in map(sorted, known)
        return swapped or bool(difflib.get_close_matches(ending, known, n=1, cutoff=0.8))

    def _no_file(self, value: str) -> HeadstockError:
        if self._takes_files:
            return HeadstockError(f"cannot read {value}: no such file")
        hub = f"; if it is a data set of the Hub, write --data {value}" if value.count("/") == 1 else ""
        return HeadstockError(
            f"cannot read {value}: no such file; if it is meant as a text, give it on standard input: "
            f"{self._echo(value)}{hub}"
        )

    def _echo(self, text: str) -> str:
        return f"echo {shlex.quote(text)} | headstock predict {shlex.quote(str(self._run_dir))}"
