"""Turns pydantic's report on a section into one line that names each key, what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

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
    return "; ".join(_problem(problem, model, prefix) for problem in _united(error.errors(), model))


def _united(problems: Sequence[Any], model: type[BaseModel]) -> list[Any]:
    """Return the problems, those of a value that fits no type of a union as one.

    pydantic reports each type of the union, and names it in the place as if it were a key.
    """
    found: list[Any] = []
    of_unions: dict[str, list[Any]] = {}
    for problem in problems:
        name, *rest = problem["loc"] or ("",)
        if not rest or not _is_union(model, name):
            found.append(problem)
            continue
        if name not in of_unions:
            found.append(of_unions.setdefault(name, []))
        of_unions[name].append({**problem, "loc": (name, *rest[1:])})
    return [_nearest_problem(each) if isinstance(each, list) else each for each in found]


def _is_union(model: type[BaseModel], name: object) -> bool:
    field = model.model_fields.get(str(name))
    kinds = get_args(field.annotation) if field is not None and _is_union_type(field.annotation) else ()
    return sum(kind is not type(None) for kind in kinds) > 1


def _is_union_type(annotation: object) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _nearest_problem(problems: Sequence[Any]) -> Any:
    """Return what is wrong inside of the type that the value is of, or else all that it might have been."""
    deepest = max(problems, key=lambda problem: len(problem["loc"]))
    if len(deepest["loc"]) > 1 or len(problems) == 1:
        return deepest
    wanted = [str(problem["msg"]).removeprefix("Input should be ") for problem in problems]
    return {**problems[0], "msg": f"Input should be {' or '.join(wanted)}"}


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
