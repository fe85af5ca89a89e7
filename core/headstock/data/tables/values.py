"""How a value that Arrow holds becomes the value that a row shows.

Everything here can be pickled, so that a table can be sent to another process.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Reader = Callable[[Any], Any]


def plain(value: Any) -> Any:
    """Return the value itself; what is not a number (NaN) counts as missing."""
    return None if isinstance(value, float) and math.isnan(value) else value


def from_json(value: str | None) -> Any:
    """Return what a JSON text says."""
    return None if value is None else plain(json.loads(value))


@dataclass(frozen=True)
class ClassName:
    """From a class number to its name; a number without a name (-1 where labels are withheld) counts as missing."""

    names: tuple[str, ...]

    def __call__(self, value: int | None) -> str | None:
        """Return the name."""
        return self.names[value] if value is not None and 0 <= value < len(self.names) else None


@dataclass(frozen=True)
class Each:
    """Reads every part of a list."""

    part: Reader

    def __call__(self, value: list[Any] | None) -> list[Any] | None:
        """Return the list of what its parts read as."""
        return None if value is None else [self.part(part) for part in value]


@dataclass(frozen=True)
class Fields:
    """Reads every field of a mapping."""

    parts: Mapping[str, Reader]

    def __call__(self, value: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Return the mapping of what its fields read as."""
        return None if value is None else {key: self.parts[key](part) for key, part in value.items()}


@dataclass(frozen=True)
class FilePath:
    """Makes the relative path of a file value one from the table's own folder; a blank path counts as missing."""

    folder: Path
    value: Reader

    def __call__(self, value: Any) -> Any:
        """Return the file value with its path resolved."""
        value = self.value(value)
        if isinstance(value, str):
            return self._found(value) if value.strip() else None
        if isinstance(value, Mapping) and value.get("bytes") is None and isinstance(value.get("path"), str):
            return {**value, "path": self._found(value["path"])}
        return value

    def _found(self, path: str) -> str:
        return path if "://" in path else str(self.folder / path)


def reader_of(feature: Any) -> Reader:
    """Return how values of a datasets feature are read: class numbers as names, media files as ``{"path", "bytes"}``.

    A feature that decodes files (image, audio, …) stores a struct of path and bytes, which is left as it is; any other
    feature with a form of its own decodes itself.
    """
    import datasets

    if isinstance(feature, datasets.ClassLabel):
        return ClassName(tuple(feature.names))
    if isinstance(feature, dict):
        return Fields({key: reader_of(part) for key, part in feature.items()})
    if isinstance(feature, list):
        return Each(reader_of(feature[0]))
    inner = getattr(feature, "feature", None)
    if inner is not None:
        return Each(reader_of(inner))
    if hasattr(feature, "decode_example") and not _holds_file(feature):
        decode: Reader = feature.decode_example
        return decode
    return plain


def _holds_file(feature: Any) -> bool:
    storage = feature.pa_type
    return {storage.field(number).name for number in range(storage.num_fields)} == {"bytes", "path"}
