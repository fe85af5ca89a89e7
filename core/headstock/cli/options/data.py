"""What ``predict`` and ``evaluate`` have in common: data and options of it on the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

on_bad_example_option = click.option(
    "--on-bad-example",
    type=click.Choice(["error", "skip"]),
    default=None,
    help="What to do with an input that cannot be used.  [default: what the run did]",
)


def data_source(text: str) -> dict[str, Any]:
    """Return the start of a ``data`` section: a path if it exists or looks like one, else a data set of the Hub."""
    return {"path": text} if os.path.exists(os.path.expanduser(text)) or _is_path(text) else {"hub": text}


def data_options(assignments: Sequence[str], use_file: str = "") -> dict[str, Any]:
    """Return the options of a ``data`` section that ``key=value`` texts give, with or without ``data.`` before them.

    Args:
        assignments: The texts.
        use_file: What an error says before the name of a file that was given alone.

    Raises:
        RecipeError: a text without ``=``, or an option that data has not.
    """
    from headstock.data import DataConfig
    from headstock.recipe.errors import RecipeError, validated
    from headstock.recipe.source import Assignment, assign, parse_assignments

    inner: list[Assignment] = []
    for keys, value in parse_assignments(assignments, use_file):
        inside = keys[1:] if keys[0] == "data" else keys
        if not inside or inside[0] not in DataConfig.model_fields:
            raise RecipeError(f"unknown option 'data.{'.'.join(inside)}'; only data options can be given here")
        inner.append((["data", *inside], value))
    data: dict[str, Any] = assign({}, inner).get("data", {})
    validated(DataConfig, {key: value for key, value in data.items() if key == "on_bad_example"}, "data")
    return data


def _is_path(text: str) -> bool:
    return text.startswith((".", "/", "~")) or Path(text).suffix != ""
