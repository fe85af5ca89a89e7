"""What a run records while it trains: ``metrics.jsonl``, ``speed.jsonl`` and, if asked for, TensorBoard events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstock.atomic import explain_write_errors
from headstock_registry import HeadstockError


class TrainingLog:
    """Appends one JSON object a line.

    ``metrics.jsonl`` holds only what follows from recipe and data, so a resumed run writes the same bytes as one that
    was never interrupted. Times and speeds go to ``speed.jsonl``.
    """

    def __init__(self, folder: Path, tensorboard: bool, keep_bytes: int = 0) -> None:
        self._metrics = folder / "metrics.jsonl"
        self._speed = folder / "speed.jsonl"
        with explain_write_errors(self._metrics):
            self._metrics.touch()
            with self._metrics.open("rb+") as stream:
                stream.truncate(keep_bytes)
        self._board = _tensorboard(folder / "tensorboard") if tensorboard else None

    @property
    def size(self) -> int:
        """Length of ``metrics.jsonl`` in bytes."""
        return self._metrics.stat().st_size

    def metrics(self, kind: str, step: int, epoch: int, values: dict[str, float]) -> None:
        """Record figures; ``kind`` is ``train`` or ``validation``."""
        self._append(self._metrics, {"kind": kind, "step": step, "epoch": epoch, **values})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def speed(self, step: int, values: dict[str, float]) -> None:
        """Record times and speeds."""
        self._append(self._speed, {"step": step, **values})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"speed/{name}", value, step)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    @staticmethod
    def _append(path: Path, record: dict[str, Any]) -> None:
        with explain_write_errors(path), path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise HeadstockError(
            "trainer.tensorboard needs the tensorboard package: pip install 'headstock[tensorboard]'"
        ) from error
    return SummaryWriter(str(folder))
