"""Headstock tunes pretrained models for many tasks on one engine; a task is a plugin.

What ``__all__`` lists here, in :mod:`headstock.testing` and in the modules of :mod:`headstock.kits` is public; nothing
else is. Names that need torch are imported when first used, so that ``import headstock`` in a plugin's entry module
stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headstock_registry import API_VERSION, Entry, HeadstockError, hookimpl

if TYPE_CHECKING:
    from headstock.atomic import explain_write_errors, new_directory, write_text
    from headstock.cli.commands import Shell, pass_shell
    from headstock.cli.output import print_json, print_table, warn
    from headstock.digests import file_digest, json_digest
    from headstock.engine.run import run
    from headstock.engine.tuned_model import TunedModel, load
    from headstock.error_text import reason, shown
    from headstock.files import parse_json
    from headstock.interfaces import (
        Adapter,
        Backbone,
        BadExampleError,
        BadPartsError,
        Batch,
        Column,
        Component,
        Config,
        ConfusionMatrix,
        DataError,
        Details,
        Example,
        Features,
        FileValue,
        Loss,
        Method,
        Metric,
        NoTargetError,
        Provenance,
        Request,
        Row,
        Splits,
        StepOutput,
        Task,
        TrainingFacts,
        TrainingModel,
        UntrainableError,
        is_file_value,
        note,
        noting,
        open_file,
        pad_stack,
        read_bytes,
        trusts_remote_code,
    )
    from headstock.kits import Classification, ClassificationConfig, LabelSet
    from headstock.recipe.model import Recipe
    from headstock.report.result import RunResult

    __version__: str

_LAZY = {
    "headstock.atomic": ("explain_write_errors", "new_directory", "write_text"),
    "headstock.cli.commands": ("Shell", "pass_shell"),
    "headstock.cli.output": ("print_json", "print_table", "warn"),
    "headstock.digests": ("file_digest", "json_digest"),
    "headstock.error_text": ("reason", "shown"),
    "headstock.engine.run": ("run",),
    "headstock.engine.tuned_model": ("TunedModel", "load"),
    "headstock.files": ("parse_json",),
    "headstock.interfaces": (
        "Adapter",
        "Backbone",
        "BadExampleError",
        "BadPartsError",
        "Batch",
        "Column",
        "Component",
        "Config",
        "ConfusionMatrix",
        "DataError",
        "Details",
        "Example",
        "Features",
        "FileValue",
        "Loss",
        "Method",
        "Metric",
        "NoTargetError",
        "Provenance",
        "Request",
        "Row",
        "Splits",
        "StepOutput",
        "Task",
        "TrainingFacts",
        "TrainingModel",
        "UntrainableError",
        "is_file_value",
        "note",
        "noting",
        "open_file",
        "pad_stack",
        "read_bytes",
        "trusts_remote_code",
    ),
    "headstock.kits": ("Classification", "ClassificationConfig", "LabelSet"),
    "headstock.recipe.model": ("Recipe",),
    "headstock.report.result": ("RunResult",),
}
_HOME = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "API_VERSION",
    "Adapter",
    "Backbone",
    "BadExampleError",
    "BadPartsError",
    "Batch",
    "Classification",
    "ClassificationConfig",
    "Column",
    "Component",
    "Config",
    "ConfusionMatrix",
    "DataError",
    "Details",
    "Entry",
    "Example",
    "Features",
    "FileValue",
    "HeadstockError",
    "LabelSet",
    "Loss",
    "Method",
    "Metric",
    "NoTargetError",
    "Provenance",
    "Recipe",
    "Request",
    "Row",
    "RunResult",
    "Shell",
    "Splits",
    "StepOutput",
    "Task",
    "TrainingFacts",
    "TrainingModel",
    "TunedModel",
    "UntrainableError",
    "__version__",
    "explain_write_errors",
    "file_digest",
    "hookimpl",
    "is_file_value",
    "json_digest",
    "load",
    "new_directory",
    "note",
    "noting",
    "open_file",
    "pad_stack",
    "parse_json",
    "pass_shell",
    "print_json",
    "print_table",
    "read_bytes",
    "reason",
    "run",
    "shown",
    "trusts_remote_code",
    "warn",
    "write_text",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOME:
        raise AttributeError(f"module 'headstock' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("headstock")
    except metadata.PackageNotFoundError:
        raise AttributeError("headstock is not installed, only importable; its version is in pyproject.toml") from None


def __dir__() -> list[str]:
    return list(__all__)
