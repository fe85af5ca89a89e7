"""The column that holds an image."""

from __future__ import annotations

from typing import Any

from headstock.interfaces import BadExampleError
from headstock.interfaces.task import Row

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2", ".avif")
"""Endings of image files, in lower case."""


def image_of(row: Row) -> Any:
    """Return what the column ``image`` holds.

    Raises:
        BadExampleError: it holds nothing.
    """
    image = row.get("image")
    if image is None or (isinstance(image, str) and not image.strip()):
        raise BadExampleError("no image")
    return image
