"""Turns what an image column holds into pixels."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from headstock import BadExampleError, is_file_value, open_file, reason
from headstock_vision.decoder_warnings import quiet_decoders
from headstock_vision.detection.frames import SIDEWAYS, TURNS, UPRIGHT, Frame

_HEIF_LIBRARY = next((name for name in ("pi_heif", "pillow_heif") if find_spec(name) is not None), None)
"""What teaches Pillow the photographs of iPhones, if it is there (``pip install 'headstock[heif]'``)."""

HEIF_SUFFIXES = (".heic", ".heif", ".hif") if _HEIF_LIBRARY is not None else ()
"""Endings of the files that such a library reads; none without it."""

FORMATS = (
    *("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA", "PCX", "SGI", "PSD"),
    *("QOI", "HEIF"),
)
"""What is decoded of all that Pillow knows: pixels alone. It would run a program for PostScript (EPS) in any file."""

_SIXTEEN_BIT_MODES = ("I;16", "I;16L", "I;16B", "I;16N")


def decode_image(value: object) -> Tensor:
    """Return an image as RGB pixels, uint8 (3, H, W).

    A photograph is turned as its EXIF orientation says, transparent parts come to lie on white, 16-bit greyscale is
    cut to its upper 8 bits, and of an animation the first frame is taken.

    Args:
        value: A file value (path, bytes or ``{"path", "bytes"}``), a PIL image, or a uint8 array HxW or HxWx3.

    Raises:
        BadExampleError: no image can be made of it; the message names the file when there is one.
    """
    if isinstance(value, np.ndarray):
        return _from_array(value)
    with _opened(value) as (image, name), _one_line_errors(name):
        image.load()
        return _from_array(np.array(_to_rgb(ImageOps.exif_transpose(image))))


def read_frame(value: object) -> Frame:
    """Return how large an image is and how EXIF turns it, of its header alone as a rule.

    Args:
        value: As for :func:`decode_image`.

    Raises:
        BadExampleError: as :func:`decode_image` does, except for what only pixels show.
    """
    if isinstance(value, np.ndarray):
        height, width = _from_array(value).shape[1:]
        return Frame(width, height)
    with _opened(value) as (image, name), _one_line_errors(name):
        orientation = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
        if orientation not in TURNS:
            orientation = UPRIGHT
        width, height = image.size
        if orientation in SIDEWAYS and image.format == "TIFF":
            # Pillow turns a TIFF itself, its size before its pixels
            width, height = ImageOps.exif_transpose(image).size[::-1]
        if not width or not height:
            raise BadExampleError("it has no pixels")
        return Frame(width, height, orientation)


@contextmanager
def _opened(value: object) -> Iterator[tuple[Image.Image, str]]:
    """Open an image value; yield it with how messages call it."""
    with quiet_decoders:
        if isinstance(value, Image.Image):
            yield value, getattr(value, "filename", "") or "the image"
            return
        if not is_file_value(value):
            raise BadExampleError(
                f"an image must be a path, bytes, a PIL image or a uint8 array, not {type(value).__name__}"
            )
        name = _name(value)
        with open_file(value) as stream:
            try:
                image = Image.open(stream, formats=_formats())
            except UnidentifiedImageError as error:
                raise BadExampleError(f"{name} is not an image of a known format") from error
            except Exception as error:  # decoders of broken files raise nearly anything
                raise _unreadable(name, error) from error
            with image:
                yield image, name


@contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Turn whatever is raised inside into a line that names the image."""
    try:
        yield
    except BadExampleError as error:
        raise BadExampleError(f"{name}: {error}") from error
    except Exception as error:  # a truncated or hostile file can raise nearly anything
        raise _unreadable(name, error) from error


@cache
def _formats() -> tuple[str, ...]:
    """Return those of the formats that Pillow, as it is built here, can open."""
    if _HEIF_LIBRARY is not None:
        importlib.import_module(_HEIF_LIBRARY).register_heif_opener()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _name(value: object) -> str:
    """Return how messages call a file value: its path where it has one."""
    if isinstance(value, Mapping):
        value = value.get("path")
    return os.fspath(value) if isinstance(value, str | os.PathLike) else "the image"


def _unreadable(name: str, error: Exception) -> BadExampleError:
    return BadExampleError(f"{name} cannot be decoded as an image: {reason(error)}")


def _from_array(array: np.ndarray) -> Tensor:
    if array.dtype != np.uint8 or array.size == 0 or (array.ndim != 2 and array.shape[2:] != (3,)):
        raise BadExampleError(
            f"an image array must be uint8 of shape (H, W) or (H, W, 3), not {array.dtype} of shape {array.shape}"
        )
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    return torch.from_numpy(array.transpose(2, 0, 1).copy())


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES or image.mode == "I":
        return Image.fromarray(_upper_bits(np.asarray(image)))
    if image.mode == "F":
        raise BadExampleError("floating-point pixels have no agreed range; convert the image to 8 or 16 bits")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _upper_bits(pixels: np.ndarray) -> np.ndarray:
    """Cut 16-bit values to 8 bits."""
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise BadExampleError("pixels are wider than 16 bits; convert the image to 8 or 16 bits")
    return (pixels.astype(np.uint32) >> 8).astype(np.uint8)
