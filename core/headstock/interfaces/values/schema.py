"""What a task says about its data and its metrics, for loading, checking and showing."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Column(BaseModel):
    """One column of a task's data.

    ``content="file"`` means that values are paths (relative ones are taken from the table's own folder) or file
    contents. ``stratify`` marks the target by which splits are cut evenly. ``suffixes`` are the file endings that
    count when a folder is read; empty means all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Literal["input", "target"]
    summary: str
    content: Literal["value", "file"] = "value"
    required: bool = True
    stratify: bool = False
    suffixes: tuple[str, ...] = ()


class Metric(BaseModel):
    """A figure that :meth:`Task.score` returns under ``name``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    better: Literal["higher", "lower"]
    summary: str
