"""Headstock tunes pretrained models for many tasks on one engine; a task is a plugin.

Everything in ``__all__`` is public; nothing else is. Names that need torch are imported when first used, so that
``import headstock`` in a plugin's entry module stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from headstock_registry import API_VERSION, Entry, HeadstockError, hookimpl

if TYPE_CHECKING:
    from headstock.digests import file_digest, json_digest
    from headstock.engine.run import run
    from headstock.engine.tuned_model import TunedModel, load
    from headstock.interfaces import (
        Adapter,
        Backbone,
        BadExampleError,
        Batch,
        Column,
        Component,
        Config,
        ConfusionMatrix,
        DataError,
        Details,
        Example,
        Features,
        Loss,
        Metric,
        Request,
        Splits,
        Task,
        note,
        pad_stack,
        read_bytes,
        trusts_remote_code,
    )
    from headstock.kits import Classification, ClassificationConfig, LabelSet
    from headstock.recipe.model import Recipe
    from headstock.report.result import RunResult

_LAZY = {
    "headstock.digests": ("file_digest", "json_digest"),
    "headstock.engine.run": ("run",),
    "headstock.engine.tuned_model": ("TunedModel", "load"),
    "headstock.interfaces": (
        "Adapter",
        "Backbone",
        "BadExampleError",
        "Batch",
        "Column",
        "Component",
        "Config",
        "ConfusionMatrix",
        "DataError",
        "Details",
        "Example",
        "Features",
        "Loss",
        "Metric",
        "Request",
        "Splits",
        "Task",
        "note",
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
    "HeadstockError",
    "LabelSet",
    "Loss",
    "Metric",
    "Recipe",
    "Request",
    "RunResult",
    "Splits",
    "Task",
    "TunedModel",
    "file_digest",
    "hookimpl",
    "json_digest",
    "load",
    "note",
    "pad_stack",
    "read_bytes",
    "run",
    "trusts_remote_code",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'headstock' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
