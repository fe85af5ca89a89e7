"""CSV and TSV. Every value is text as it stands: ``NA``, ``007`` and an empty field mean just that."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from headstock.data.columns import Wanted
from headstock.data.formats.header import find_named, find_numbered, header_note, no_header_note, numbered_names
from headstock.data.formats.text_file import open_text
from headstock.data.tables.arrow_rows import BESIDE, TextRows
from headstock.data.tables.cached_rows import Record, stored_text
from headstock.data.tables.values import FilePath, plain
from headstock.interfaces import BadExampleError, DataError

DELIMITERS = (",", ";", "\t", "|")
LONGEST_FIELD = 2**31 - 1
LOOKED_AT = 20
"""Records by which the delimiter of a file without a header is chosen."""


class UnclosedQuoteError(DataError):
    """A quote is opened and never closed, so that what follows cannot be told apart."""


class Dialect(NamedTuple):
    """How a file is written."""

    delimiter: str
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL
    header: bool = True


def read_csv(path: Path, wanted: Wanted, *, tabs: bool = False, header: bool = True) -> TextRows:
    """Return the rows of a CSV or TSV file.

    The delimiter of CSV is the one that cuts the header into most of the wanted columns. With ``tabs`` it is the tab,
    and a double quote may be a character like others: so a file is read in which quotes make no sense, as in many TSV
    files. A row with more or fewer fields than the header, or with a stray quote, cannot be used; the others can.

    Args:
        path: The file.
        wanted: The columns that are wanted.
        tabs: Whether it is TSV.
        header: Whether the first row names the columns; if not they are ``column_1``, ``column_2`` ….

    Raises:
        DataError: not UTF-8, a quote that is not closed, or a column is missing.
    """
    with _long_fields():
        if not tabs:
            return _read(path, _dialect(path, wanted, header), wanted)
        quoted = Dialect("\t", header=header)
        bare = quoted._replace(quoting=csv.QUOTE_NONE)
        if not all(map(_is_usable, _rows(path, quoted))):
            quoted = max(quoted, bare, key=lambda each: sum(map(_is_usable, _rows(path, each))))
        return _read(path, quoted, wanted)


def _read(path: Path, dialect: Dialect, wanted: Wanted) -> TextRows:
    first = next(_fields(path, dialect), None)
    if first is None or isinstance(first[1], BadExampleError):
        raise DataError(f"{path} is empty" if first is None else f"{path} line {first[0]}: {first[1]}")
    name, width = str(path), len(first[1])
    names = [field.strip() for field in first[1]]
    if dialect.header:
        later = (fields for _, fields in _checked(path, dialect, width) if not isinstance(fields, BadExampleError))
        found = find_named(name, names, islice(later, 1, None), wanted)
        available = names
    else:
        found = find_numbered(name, first[1], wanted)
        available = numbered_names(width)
    beside = {BESIDE + column: source for column, source in wanted.find_beside(name, available, found).items()}
    positions = {column: available.index(source) for column, source in {**found, **beside}.items()}

    def records() -> Iterator[Record]:
        for line, fields in islice(_checked(path, dialect, width), int(dialect.header), None):
            if isinstance(fields, BadExampleError):
                yield line, fields
            else:
                yield None, {column: fields[position] for column, position in positions.items()}

    dataset = stored_text(path, ["csv", *dialect, positions], positions, records)
    readers = {column: FilePath(path.parent, plain) if column in wanted.files else plain for column in found}
    kept = {column.removeprefix(BESIDE): (column, plain) for column in beside}
    rows = TextRows(name, dataset, {column: column for column in found}, readers, kept=kept)
    return replace(
        rows, notes=header_note(rows, found, wanted) if dialect.header else no_header_note(name, names, wanted)
    )


def _dialect(path: Path, wanted: Wanted, header: bool) -> Dialect:
    """Return the dialect whose delimiter finds most wanted columns, or else most columns."""
    fits: dict[Dialect, tuple[int, int]] = {}
    problem: DataError | None = None
    for dialect in (Dialect(delimiter, header=header) for delimiter in DELIMITERS):
        try:
            records = list(islice(_fields(path, dialect), 1 if header else LOOKED_AT))
        except DataError as error:
            problem = problem or error
            continue
        if not records:
            raise DataError(f"{path} is empty")
        line, first = records[0]
        if isinstance(first, BadExampleError):
            problem = problem or DataError(f"{path} line {line}: {first}")
            continue
        even = sum(not isinstance(fields, BadExampleError) and len(fields) == len(first) for _, fields in records)
        fits[dialect] = (wanted.count(first) if header else even * (len(first) > 1), len(first))
    if problem is not None and not fits:
        raise problem
    return max(fits, key=lambda dialect: fits[dialect])


def _rows(path: Path, dialect: Dialect) -> Iterator[list[str] | BadExampleError]:
    """Yield all records, the header too; where the rest of the file cannot be read, an error stands for it."""
    try:
        first = next(_fields(path, dialect), None)
        if first is not None:
            width = 0 if isinstance(first[1], BadExampleError) else len(first[1])
            yield from (fields for _, fields in _checked(path, dialect, width))
    except UnclosedQuoteError as error:
        yield BadExampleError(str(error))


def _is_usable(fields: list[str] | BadExampleError) -> bool:
    return not isinstance(fields, BadExampleError)


def _checked(path: Path, dialect: Dialect, width: int) -> Iterator[tuple[int, list[str] | BadExampleError]]:
    """Yield records, those that have not ``width`` fields as errors."""
    whose = "the header" if dialect.header else "the first row"
    for line, fields in _fields(path, dialect):
        if isinstance(fields, BadExampleError) or len(fields) == width:
            yield line, fields
        else:
            counted = f"{len(fields)} field" if len(fields) == 1 else f"{len(fields)} fields"
            quotes = f"; a value that holds {_named(dialect.delimiter)} must stand in double quotes"
            yield line, BadExampleError(f"{counted} where {whose} has {width}{quotes if len(fields) > width else ''}")


def _fields(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str] | BadExampleError]]:
    """Yield the line at which a record begins, and its fields.

    Blank lines are no records, but in a table of one column, where they are empty cells unless nothing follows.

    Raises:
        UnclosedQuoteError: a quote is opened and never closed.
    """
    with open_text(path, newline="") as stream:
        reader = csv.reader(stream, delimiter=dialect.delimiter, quoting=dialect.quoting, strict=True)
        one_column: bool | None = None
        blank: list[int] = []
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if "unexpected end of data" in str(error):
                    if reader.line_num > line:
                        raise UnclosedQuoteError(
                            f"{path} line {line}: a double quote is opened and never closed; inside a quoted value a "
                            "quote is written twice"
                        ) from error
                    yield line, BadExampleError("the file ends inside of a quoted value; is it cut off?")
                else:
                    yield line, BadExampleError(_stray(error, line, reader.line_num))
                continue
            if "\0" in "".join(fields):
                yield line, BadExampleError("it holds a NUL, as UTF-16 and binary files do; text in UTF-8 is expected")
            elif fields == [""] or any(field.strip() for field in fields) or len(fields) > 1:
                yield from ((number, [""]) for number in blank)
                blank.clear()
                one_column = len(fields) == 1 if one_column is None else one_column
                yield line, fields
            elif one_column:
                blank.append(line)


def _stray(error: csv.Error, line: int, last: int) -> str:
    lines = f" (this row continues to line {last})" if last > line else ""
    return f"{error}; a value that holds a double quote must stand in quotes, with the quote written twice{lines}"


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let a field be of any length; Python stops at 128 KiB otherwise."""
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _named(delimiter: str) -> str:
    return "a tab" if delimiter == "\t" else f"'{delimiter}'"
