"""The column that holds an image."""

from __future__ import annotations

from typing import Any

from headstock import BadExampleError, Row
from headstock_vision.decode import HEIF_SUFFIXES

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".jpf", ".avif", ".ico", ".tga", ".mpo"),
    *HEIF_SUFFIXES,
)
"""Endings of image files that can be decoded, in lower case."""


def image_of(row: Row) -> Any:
    """Return what the column ``image`` holds.

    Raises:
        BadExampleError: it holds nothing.
    """
    image = row.get("image")
    if image is None or (isinstance(image, str) and not image.strip()):
        raise BadExampleError("no image")
    return image
