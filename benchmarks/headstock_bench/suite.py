"""A suite file: which recipes to run, over which seeds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from headstock import Config, HeadstockError, shown
from headstock.files import ReadError, read_utf8
from headstock.recipe.errors import RecipeError, describe
from headstock.recipe.source import COMPONENTS, MAPPINGS, component_of
from headstock.recipe.yaml_text import LARGEST, parse_yaml
from headstock_registry import nearest

SHIPPED = Path(__file__).with_name("suites")
"""Folder of the suites that come with the harness."""

ROOT = "{root}"
"""What stands for the suite's data folder in recipe values."""

FolderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class SuiteError(HeadstockError):
    """A suite that cannot be used."""


class Case(Config):
    """A recipe without its seed: sections as in a recipe file, checked when the suite is put to use."""

    task: Any = Field(None, description="name of the task, or a mapping with its name and options")
    backbone: Any = Field(None, description="name of the backbone, or a mapping with its name and options")
    adapter: Any = Field(None, description="name of the adapter, or a mapping with its name and options")
    data: dict[str, Any] = Field({}, description="options of the recipe's data section")
    trainer: dict[str, Any] = Field({}, description="options of the recipe's trainer section")

    def over(self, defaults: Case) -> dict[str, Any]:
        """Return the recipe's content: this case's options, and those of ``defaults`` that it does not set.

        Options of a component in ``defaults`` do not count for another component.
        """
        above, below = self.model_dump(), defaults.model_dump()
        content: dict[str, Any] = {}
        for section in COMPONENTS:
            mine, theirs = component_of(above, section), component_of(below, section)
            same = mine.get("name", theirs.get("name")) == theirs.get("name")
            content[section] = {**theirs, **mine} if same else mine
        for section in MAPPINGS:
            content[section] = {**below[section], **above[section]}
        return {section: options for section, options in content.items() if options}


class Suite(Config):
    """Recipes by case name, and the seeds that each runs with."""

    name: FolderName = Field(description="name of the suite, also of the folder of its results")
    summary: str = Field(description="what the suite measures, in a line")
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, description="seeds that each case runs with")
    root: str | None = Field(
        None,
        min_length=1,
        description="folder that {root} in recipe values stands for, relative to the current one; environment "
        "variables are filled in; --root takes its place",
    )
    defaults: Case = Field(Case(), description="options for all cases")
    cases: dict[FolderName, Case] = Field(min_length=1, description="recipe content by case name")

    @model_validator(mode="after")
    def _seeds_once(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("'seeds': each one may be given once")
        return self

    def recipes(self, given_root: str | None = None) -> dict[str, dict[str, Any]]:
        """Return each case's recipe content with ``{root}`` filled in.

        Args:
            given_root: The folder to take instead of the suite's own.

        Raises:
            SuiteError: the folder is not there or not known; the message says what to set.
        """
        contents = {name: case.over(self.defaults) for name, case in self.cases.items()}
        if not any(ROOT in text for text in _texts(contents)):
            if given_root is not None:
                raise SuiteError(f"suite '{self.name}' does not use {ROOT}; leave out --root")
            return contents
        root = self._find_root(given_root)
        return {name: _filled(content, root) for name, content in contents.items()}

    def _find_root(self, given: str | None) -> str:
        written = given or self.root
        if written is None:
            raise SuiteError(f"suite '{self.name}' needs a folder of data; say where it is with --root DIR")
        root = os.path.expanduser(written if given else os.path.expandvars(written))
        if not Path(root).is_dir():
            unset = " (is the environment variable set?)" if not given and "$" in root else ""
            raise SuiteError(
                f"suite '{self.name}' needs a folder of data, and '{root}' is not one{unset}; "
                "say where it is with --root DIR"
            )
        return root.rstrip("/") or "/"


def shipped_suites() -> dict[str, Path]:
    """Return the files of the suites that come with the harness, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def load_suite(name: str) -> Suite:
    """Read a shipped suite by name, or a suite file by path.

    Raises:
        SuiteError: there is none, or it is not valid; one line.
    """
    if name.endswith((".yaml", ".yml")):
        return read_suite(Path(name))
    shipped = shipped_suites()
    if name not in shipped:
        raise SuiteError(f"there is no suite '{name}'{nearest(name, shipped)} (or give the path of a .yaml file)")
    return read_suite(shipped[name])


def read_suite(path: Path) -> Suite:
    """Read a suite file.

    Raises:
        SuiteError: the file is missing, is not YAML, or has keys or values that do not belong there.
    """
    try:
        content = parse_yaml(read_utf8(path, 4 * LARGEST), str(path))
    except (ReadError, RecipeError) as error:
        raise SuiteError(str(error)) from error
    if not isinstance(content, dict):
        raise SuiteError(f"{path}: a suite is a mapping with the keys name, summary and cases")
    cases = content.get("cases")
    parts = {f"cases.{name}": part for name, part in cases.items()} if isinstance(cases, dict) else {}
    for key, part in {"defaults": content.get("defaults", {}), **parts}.items():
        if not isinstance(part, dict):
            raise SuiteError(f"{path}: '{key}' is a mapping with the sections of a recipe, not {shown(part)}")
        if "seed" in part:
            raise SuiteError(f"{path}: '{key}.seed' has no place here; 'seeds' of the suite are for all cases")
        try:
            Case.model_validate(part)
        except ValidationError as error:
            raise SuiteError(f"{path}: {describe(error, Case, key)}") from error
    try:
        return Suite.model_validate(content)
    except ValidationError as error:
        raise SuiteError(f"{path}: {describe(error, Suite)}") from error


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(part)


def _filled(value: Any, root: str) -> Any:
    if isinstance(value, str):
        return value.replace(ROOT, root)
    if isinstance(value, dict):
        return {key: _filled(part, root) for key, part in value.items()}
    return [_filled(part, root) for part in value] if isinstance(value, list) else value
