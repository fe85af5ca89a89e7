"""Checks of what a plugin says before it is used: entry, options."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeGuard

from headstock.error_text import reason
from headstock.interfaces import Config
from headstock.testing.check import KINDS, CheckFailure, NotApplicable, check, expect
from headstock.testing.subject import Subject

HEAVY = (
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "datasets",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "peft",
)
"""Libraries that take long to import; what is loaded with ``headstock tasks`` must not need them."""


class _Text(ast.Constant):
    value: str


_LOAD = """
import sys
from importlib import metadata
from headstock_registry import load_catalogue
points = [point for point in metadata.entry_points(group="headstock") if point.name == sys.argv[1]]
if not points:
    sys.exit("the entry point is not there")
load_catalogue(points)
print(" ".join(name for name in sys.argv[2:] if name in sys.modules))
"""


@check("entry-is-light", *KINDS)
def entry_is_light(subject: Subject) -> None:
    """Listing what is installed imports nothing heavy.

    ``headstock tasks`` loads the module that the entry point names and calls its hook, for every plugin on the
    machine. Keep torch and its company out of that module and of the package's ``__init__``: an entry names its class
    as ``"module:Class"``, and that module is imported when the class is used.
    """
    source = subject.entry.source
    if source is None or source.version == "unknown":
        raise NotApplicable("the entry was not brought by an installed distribution")
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, source.plugin, *HEAVY],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    heavy = done.stdout.split()
    expect(not heavy, f"plugin '{source.plugin}' to load without heavy libraries", f"it imports {', '.join(heavy)}")


@check("entry-tells-the-truth", *KINDS)
def entry_tells_the_truth(subject: Subject) -> None:
    """The entry says what the class is.

    The summary is one phrase without a full stop, for a table; the modality is that of the class, since lists and
    pairs of tasks and backbones are made from the entry alone.
    """
    entry = subject.entry
    expect(not entry.summary.endswith("."), "a summary without a full stop, as in a table", f"'{entry.summary}'")
    expect(entry.summary.strip() != entry.name, "a summary that says more than the name", f"'{entry.summary}'")
    own = getattr(subject.cls, "modality", None)
    if entry.kind not in ("adapter", "method"):
        expect(entry.modality == own, f"the entry's modality '{entry.modality}' on the class", f"'{own}'")


@check("options-are-documented", *KINDS)
def options_are_documented(subject: Subject) -> None:
    """Every option says what it means, and unknown options are errors.

    ``Config`` derives from ``headstock.Config``, which is frozen and forbids extra keys; each field has a
    ``description``, which ``headstock show`` prints; the JSON Schema builds, which editors complete from.
    """
    config = subject.cls.Config
    expect(
        isinstance(config, type) and issubclass(config, Config), "Config to derive from headstock.Config", repr(config)
    )
    settings = config.model_config
    expect(bool(settings.get("frozen")), "a frozen Config", "one that can be changed")
    expect(settings.get("extra") == "forbid", "unknown options to be errors", f"extra={settings.get('extra')!r}")
    silent = [name for name, field in config.model_fields.items() if not field.description]
    expect(not silent, "a description of every option", f"none of {', '.join(silent)}")
    try:
        json.dumps(config.model_json_schema())
    except Exception as error:  # pydantic raises several kinds for what JSON Schema cannot say
        raise CheckFailure("a Config with a JSON Schema", f"{type(error).__name__}: {error}") from error


@check("options-have-valid-defaults", *KINDS)
def options_have_valid_defaults(subject: Subject) -> None:
    """The defaults pass the options' own validation, and survive being written to a run's recipe.

    pydantic does not validate defaults. A run writes all options as YAML and reads them again when it is resumed or
    loaded, so that ``Config.model_validate(config.model_dump(mode="json"))`` must give the same options.
    """
    config = subject.options
    written = json.loads(json.dumps(config.model_dump(mode="json")))
    try:
        again = type(config).model_validate(written)
    except ValueError as error:
        raise CheckFailure("defaults that are valid", reason(error)) from error
    expect(again == config, f"the options {config!r} after writing and reading", repr(again))


@check("options-are-read", *KINDS)
def options_are_read(subject: Subject) -> None:
    """No option is ignored.

    An option that nothing reads looks as if it worked. The check looks through the code of the component's package
    (and of the classes that it derives from) for a place that reads ``.option``, or passes all options on with
    ``model_dump``.
    """
    options = set(subject.cls.Config.model_fields)
    if not options:
        raise NotApplicable("there are no options")
    read = _attributes(subject.cls)
    if "model_dump" in read:
        raise NotApplicable("the options are passed on together (model_dump)")
    ignored = sorted(options - read)
    expect(not ignored, "code that reads every option", f"nothing in the package reads {', '.join(ignored)}")


def _attributes(cls: Any) -> set[str]:
    """Return the names of all attributes that the code of a class's package, and of its bases, reads."""
    files: set[Path] = set()
    for base in cls.__mro__:
        module = inspect.getmodule(base)
        place = getattr(module, "__file__", None)
        if place is None or base.__module__.startswith(
            ("builtins", "torch.", "headstock.interfaces.", "abc", "typing")
        ):
            continue
        files.add(Path(place))
        package = base.__module__.split(".")[0]
        if base is cls and package != "headstock" and hasattr(sys.modules.get(package), "__path__"):
            files.update(path for root in sys.modules[package].__path__ for path in Path(root).rglob("*.py"))
    found: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                found.add(node.attr)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                found.update(argument.value for argument in node.args if _is_text(argument))
    return found


def _is_text(node: ast.expr) -> TypeGuard[_Text]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


CHECKS = (
    entry_is_light,
    entry_tells_the_truth,
    options_are_documented,
    options_have_valid_defaults,
    options_are_read,
)
