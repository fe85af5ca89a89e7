"""What commands print: results on standard output, warnings and errors on standard error.

In a terminal tables fit its width; elsewhere they are plain aligned text of any width, for grep and awk.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from headstock.error_text import json_text, printable
from headstock.text_table import aligned

Row = Sequence[str]

LONGEST = 1000
"""Characters that an error may take; names and values in it can be of any length."""


def one_line(text: str) -> str:
    """Fold line breaks and runs of blanks into single blanks."""
    return " ".join(text.split())


def print_error(text: str) -> None:
    """Print ``error: …`` on standard error, always as one line."""
    line = printable(one_line(text))
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    click.echo(f"error: {line}", err=True)


def warn(text: str) -> None:
    """Print ``warning: …`` on standard error, always as one line."""
    click.echo(f"warning: {printable(one_line(text))}", err=True)


def note(text: str) -> None:
    """Print a line on standard error."""
    click.echo(printable(text), err=True)


def print_json(value: Any) -> None:
    """Print JSON values."""
    click.echo(json_text(value, indent=2))


def print_table(header: Row, rows: Sequence[Row], indent: int = 0) -> None:
    """Print a table. In a terminal the widest columns wrap; nothing is ever cut off."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_rich(header, rows, indent)
    else:
        _print_plain([header, *rows], indent)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names and values side by side."""
    facts = [(name, printable(value)) for name, value in facts]
    if sys.stdout.isatty():
        _print_rich(None, facts, 0)
    else:
        _print_plain(facts, 0)


def _print_plain(rows: Sequence[Row], indent: int) -> None:
    for line in aligned(rows):
        click.echo(" " * indent + line)


def _print_rich(header: Row | None, rows: Sequence[Row], indent: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD if header else None, show_header=header is not None, show_edge=False, pad_edge=False)
    for number, name in enumerate(header or ("", "")):
        table.add_column(name, style="bold" if number == 0 else "", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(Padding(table, (0, 0, 0, indent)))
