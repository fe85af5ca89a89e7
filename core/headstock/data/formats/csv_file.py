"""CSV and TSV. Every value is text as it stands: ``NA``, ``007`` and an empty field mean just that."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from headstock.data.arrow_rows import ArrowRows
from headstock.data.columns import Wanted
from headstock.data.formats.text_file import open_text
from headstock.data.store import stored
from headstock.data.values import FilePath, plain
from headstock.interfaces import DataError

DELIMITERS = (",", ";", "\t", "|")
LONGEST_FIELD = 2**31 - 1

Quoting = Literal[0, 3]
"""``csv.QUOTE_MINIMAL`` or ``csv.QUOTE_NONE``."""


def read_csv(path: Path, wanted: Wanted, *, tabs: bool = False) -> ArrowRows:
    """Return the rows of a CSV or TSV file whose first line names the columns.

    The delimiter of CSV is the one that cuts the header into most columns. With ``tabs`` it is the tab, and a double
    quote may be a character like others: so a file is read that cannot be read with quoting, as many TSV files are.

    Raises:
        DataError: not UTF-8, a row with more or fewer fields than the header, a quote that is not closed, or a column
            is missing.
    """
    delimiters = ("\t",) if tabs else DELIMITERS
    with _long_fields():
        try:
            return _read(path, delimiters, csv.QUOTE_MINIMAL, wanted)
        except DataError:
            if tabs:
                with suppress(DataError):
                    return _read(path, delimiters, csv.QUOTE_NONE, wanted)
            raise


def _read(path: Path, delimiters: Sequence[str], quoting: Quoting, wanted: Wanted) -> ArrowRows:
    from datasets import Features, Value
    from datasets.arrow_writer import ArrowWriter

    delimiter, header = _header(path, delimiters, quoting)
    found = wanted.find(str(path), header)
    positions = {column: header.index(source) for column, source in found.items()}

    def fill(writer: ArrowWriter) -> None:
        for line, fields in _records(path, delimiter, quoting, skip=1):
            if len(fields) != len(header):
                raise DataError(
                    f"{path} line {line}: {_counted(len(fields))} where the header has {len(header)}; "
                    f"a value that holds {_named(delimiter)} must stand in double quotes"
                )
            writer.write({column: fields[position] for column, position in positions.items()})

    features = Features({column: Value("string") for column in positions})
    dataset = stored(path, ["csv", delimiter, quoting, positions], features, fill)
    readers = {column: FilePath(path.parent, plain) if column in wanted.files else plain for column in positions}
    return ArrowRows(str(path), dataset.with_format("arrow"), {column: column for column in positions}, readers)


def _header(path: Path, delimiters: Sequence[str], quoting: Quoting) -> tuple[str, list[str]]:
    """Return the delimiter and the column names, without blanks around them."""
    headers: dict[str, list[str]] = {}
    problem: DataError | None = None
    for delimiter in delimiters:
        try:
            first = next(_records(path, delimiter, quoting), None)
        except DataError as error:
            problem = problem or error
            continue
        if first is None:
            raise DataError(f"{path} is empty")
        headers[delimiter] = [name.strip() for name in first[1]]
    if problem is not None and not headers:
        raise problem
    return max(headers.items(), key=lambda item: len(item[1]))


def _records(path: Path, delimiter: str, quoting: Quoting, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield the line at which a record begins, and its fields; blank lines are no records."""
    with open_text(path, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, quoting=quoting, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise DataError(f"{path} line {line}: {_explained(error)}") from error
            if fields and skip:
                skip -= 1
            elif fields:
                yield line, fields


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let a field be of any length; Python stops at 128 KiB otherwise."""
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _explained(error: csv.Error) -> str:
    if "unexpected end of data" in str(error):
        return "a double quote is opened and never closed; inside a quoted value a quote is written twice"
    return f"{error}; a value that holds a double quote must stand in quotes, with the quote written twice"


def _counted(fields: int) -> str:
    return f"{fields} field" if fields == 1 else f"{fields} fields"


def _named(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f"'{delimiter}'"
