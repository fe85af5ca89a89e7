"""What a run records while it trains: ``metrics.jsonl``, ``speed.jsonl`` and, if asked for, TensorBoard events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headstock.atomic import explain_write_errors, finite, flush_file, write_text
from headstock_registry import HeadstockError


class TrainingLog:
    """Appends one JSON object a line; a figure that is not finite is ``null``.

    ``metrics.jsonl`` holds only what follows from recipe and data, so a resumed run writes the same bytes as one that
    was never interrupted. Times and speeds go to ``speed.jsonl``.

    Args:
        folder: The run's folder.
        tensorboard: Whether to write TensorBoard events too.
        keep_bytes: How much of an earlier ``metrics.jsonl`` still holds. What comes after it is dropped, and so are
            speeds and TensorBoard events of later steps.

    Raises:
        HeadstockError: an earlier ``metrics.jsonl`` is not what was written, or TensorBoard is not installed.
    """

    def __init__(self, folder: Path, tensorboard: bool, keep_bytes: int = 0) -> None:
        self._metrics = folder / "metrics.jsonl"
        self._speed = folder / "speed.jsonl"
        with explain_write_errors(self._metrics):
            self._metrics.touch()
        last_step = _cut_metrics(self._metrics, keep_bytes)
        _drop_later(self._speed, last_step)
        self._board = _tensorboard(folder / "tensorboard", last_step + 1) if tensorboard else None

    @property
    def size(self) -> int:
        """Length of ``metrics.jsonl`` in bytes."""
        return self._metrics.stat().st_size

    def metrics(self, kind: str, step: int, epoch: int, values: dict[str, float]) -> None:
        """Write figures; ``kind`` is ``train`` or ``validation``."""
        self._append(self._metrics, {"kind": kind, "step": step, "epoch": epoch, **values})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def speed(self, step: int, values: dict[str, float]) -> None:
        """Write times and speeds."""
        self._append(self._speed, {"step": step, **values})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"speed/{name}", value, step)

    def flush(self) -> None:
        """Return once ``metrics.jsonl`` is on disk, so that a checkpoint never knows of more of it than is there."""
        flush_file(self._metrics)

    def close(self) -> None:
        """Flush TensorBoard's file."""
        if self._board is not None:
            self._board.close()

    @staticmethod
    def _append(path: Path, record: dict[str, Any]) -> None:
        with explain_write_errors(path), path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(finite(record), allow_nan=False) + "\n")


class NoLog(TrainingLog):
    """The log of a rank that is not the first: it writes nothing."""

    def __init__(self) -> None:
        """Open nothing."""

    @property
    def size(self) -> int:
        """No bytes."""
        return 0

    def metrics(self, kind: str, step: int, epoch: int, values: dict[str, float]) -> None:
        """Write nothing."""

    def speed(self, step: int, values: dict[str, float]) -> None:
        """Write nothing."""

    def flush(self) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def _cut_metrics(path: Path, keep_bytes: int) -> int:
    """Cut ``metrics.jsonl`` to ``keep_bytes`` and return the step of its last line then, 0 if it has none."""
    with explain_write_errors(path), path.open("rb+") as stream:
        kept = stream.read(keep_bytes)
        if len(kept) < keep_bytes:
            raise HeadstockError(
                f"{path} has {len(kept)} bytes, but the checkpoint was written with {keep_bytes}; "
                "start again with --force"
            )
        stream.truncate(keep_bytes)
    if not kept:
        return 0
    step = _step(kept.splitlines()[-1]) if kept.endswith(b"\n") else None
    if step is None:
        raise HeadstockError(f"{path} is not what was written along with the checkpoint; start again with --force")
    return step


def _drop_later(path: Path, last_step: int) -> None:
    """Drop the lines of later steps, and a last one that a kill left unfinished."""
    if not path.is_file():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if (step := _step(line)) is not None and step <= last_step]
    if len(kept) < len(lines):
        write_text(path, b"".join(kept).decode())


def _step(line: bytes) -> int | None:
    """Return the step that a line is of, or None when it is no such line."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    step = record.get("step") if isinstance(record, dict) else None
    return step if isinstance(step, int) else None


def _tensorboard(folder: Path, first_step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise HeadstockError(
            "trainer.tensorboard needs the tensorboard package: pip install 'headstock[tensorboard]'"
        ) from error
    # Events from this step on that an earlier session left are hidden.
    return SummaryWriter(str(folder), purge_step=first_step)
