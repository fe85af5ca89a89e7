"""The type of an argument that is a path."""

from __future__ import annotations

from pathlib import Path

import click

from headstock.files import ReadError, user_path


def to_path(text: str) -> Path:
    """Return the path that an argument names, ``~`` filled in; it may not exist.

    Click's own type raises what the system does, where a text can be no path (it holds NUL, is too long).
    """
    try:
        return user_path(text)
    except ReadError as error:
        raise click.BadParameter(str(error)) from error
