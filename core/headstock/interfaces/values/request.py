"""What is asked of a task that reads a form of data of its own field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """A file or folder to read, as :meth:`headstock.Task.read` is asked for it.

    Attributes:
        path: The file or folder; it exists.
        format: The recipe's ``data.format``: ``auto``, or a name that the task declares in ``formats``.
        columns: The data's name for a column of the task, where the user gave one (``data.columns``).
        split: The split that is wanted: ``train``, ``validation`` or ``test``; ``None``: all that there are.
        with_targets: Whether rows need their targets; prediction does without.
    """

    path: Path
    format: str = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    with_targets: bool = True
