"""Turns pydantic's report on a section into one line that names each key, what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from headstock.error_text import clipped, printable, shown
from headstock_registry import HeadstockError, nearest

M = TypeVar("M", bound=BaseModel)

LONGEST_KEY = 60
"""Characters that a key may take in an error."""


class RecipeError(HeadstockError):
    """A recipe or an override that cannot be used."""


def validated(model: type[M], values: Mapping[str, Any], section: str) -> M:
    """Check a section's values and return its typed options.

    Raises:
        RecipeError: one line for all that is wrong, each key named as ``section.key``.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise RecipeError(describe(error, model, section)) from error


def describe(error: ValidationError, model: type[BaseModel], prefix: str = "") -> str:
    """Return one line for all problems of ``error``, which ``model`` raised for the section called ``prefix``."""
    return "; ".join(_problem(problem, model, prefix) for problem in error.errors())


def _problem(problem: Any, model: type[BaseModel], prefix: str) -> str:
    location = [_key(part) for part in problem["loc"]]
    key = ".".join(part for part in [prefix, *location] if part)
    if problem["type"] == "extra_forbidden":
        known: list[str] = list(_model_at(model, location[:-1]).model_fields)
        return f"unknown option '{key}'{nearest(location[-1], known)}"
    if problem["type"] == "missing":
        field = _model_at(model, location[:-1]).model_fields.get(location[-1])
        meaning = field.description if field is not None else None
        return f"'{key}' is required" + (f": {meaning}" if meaning else "")
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error" and not location:
        return message
    value = problem["input"]
    written = shown(value)
    if problem["type"] == "string_type" and isinstance(value, bool | int | float):
        written += " (in quotes it is text)"
    return f"'{key}': {message[0].lower()}{message[1:]}, got {written}"


def _key(part: object) -> str:
    """Return a key as an error shows it."""
    return clipped(printable(str(part)), LONGEST_KEY)


def _model_at(model: type[BaseModel], location: list[str]) -> type[BaseModel]:
    for part in location:
        field = model.model_fields.get(part)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            break
        model = field.annotation
    return model
