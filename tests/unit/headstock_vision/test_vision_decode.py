from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from headstock.interfaces import BadExampleError
from headstock_vision.backbones.smallcnn import SmallCNN
from headstock_vision.decode import decode_image, read_frame
from headstock_vision.tasks.image_column import SUFFIXES

HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVZtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAA"
    "AAAERAAAEAAQAAAAABegABAAAAAAAAABoAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA1mlwcnAA"
    "AAC3aXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkA"
    "AAAwAAAwAeoCCBBZbqSSmubgIaDAgAAAMAyAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAA"
    "QAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgQIDBAAAACJtZGF0AAAAFigBrxmA93yFN//31/f9Aev+JgV4tHA="
)
"""A photograph as iPhones write it: 64x64 pixels of one red, (200, 30, 40)."""


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def test_every_form_of_value_gives_the_same_pixels(photo: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(_encoded(photo))
    array = np.array(photo)
    expected = torch.from_numpy(array).permute(2, 0, 1)
    values = [path, str(path), path.read_bytes(), {"path": None, "bytes": path.read_bytes()}, photo, array]
    values += [{"path": str(path), "bytes": None}, Image.open(path)]
    for value in values:
        pixels = decode_image(value)
        assert pixels.dtype == torch.uint8
        assert torch.equal(pixels, expected)


def test_grey_images_get_three_equal_channels(photo: Image.Image) -> None:
    grey = photo.convert("L")
    expected = torch.from_numpy(np.array(grey)).expand(3, -1, -1)
    assert torch.equal(decode_image(_encoded(grey)), expected)
    assert torch.equal(decode_image(np.array(grey)), expected)


def test_black_and_white_images_span_the_whole_range() -> None:
    pixels = decode_image(_encoded(Image.fromarray(np.array([[True, False]]))))
    assert pixels.tolist() == [[[255, 0]]] * 3


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_lie_on_white(mode: str) -> None:
    image = Image.new("LA", (2, 1), (0, 255))
    image.putpixel((0, 0), (0, 0))
    assert decode_image(image.convert(mode))[:, 0].T.tolist() == [[255] * 3, [0] * 3]


def test_palette_with_transparent_entry_lies_on_white() -> None:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((1, 0), 1)
    content = _encoded(image, transparency=b"\x00\xff")
    assert decode_image(content)[:, 0].T.tolist() == [[255] * 3, [10, 20, 30]]


def test_palette_with_alpha_channel_lies_on_white() -> None:
    image = Image.new("PA", (2, 1))
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((1, 0), (1, 255))
    assert decode_image(image)[:, 0].T.tolist() == [[255] * 3, [10, 20, 30]]


def test_palette_without_transparency_keeps_its_colours(photo: Image.Image) -> None:
    image = photo.quantize(16)
    expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    assert torch.equal(decode_image(_encoded(image)), expected)


def test_cmyk_becomes_rgb() -> None:
    content = _encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = decode_image(content).float().mean(dim=(1, 2)).tolist()
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_upper_eight(kind: str) -> None:
    image = Image.fromarray(np.array([[0, 255, 256, 0x8000, 0xFFFF]], dtype=np.uint16))
    assert decode_image(_encoded(image, kind))[0, 0].tolist() == [0, 0, 1, 128, 255]


def test_wider_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.tif"
    Image.fromarray(np.array([[0, 70000]], dtype=np.int32)).save(path)
    with pytest.raises(BadExampleError, match=r"deep\.tif: pixels are wider than 16 bits"):
        decode_image(path)


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(BadExampleError, match="no agreed range"):
        decode_image(Image.fromarray(np.zeros((2, 2), dtype=np.float32)))


def test_photographs_are_turned_upright(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = photo.transpose(Image.Transpose.ROTATE_90)
    turned = decode_image(_encoded(stored, exif=exif))
    assert torch.equal(turned, decode_image(photo))


def test_broken_metadata_is_no_matter(photo: Image.Image) -> None:
    whole = decode_image(_encoded(photo, "JPEG"))
    for broken in (b"Exif\x00\x00garbage", b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff"):
        assert torch.equal(decode_image(_encoded(photo, "JPEG", exif=broken)), whole)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    content = _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(content)[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_truncated_file_is_one_line_with_its_name(kind: str, tmp_path: Path) -> None:
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = _encoded(Image.fromarray(noise), kind)
    path = tmp_path / "half.img"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadExampleError) as caught:
        decode_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_image_at_all(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not an image")
    for value in (path, {"path": str(path), "bytes": b"not an image"}):
        with pytest.raises(BadExampleError, match=r"notes\.jpg is not an image of a known format"):
            decode_image(value)
    with pytest.raises(BadExampleError, match="the image is not an image of a known format"):
        decode_image(b"not an image")


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(BadExampleError, match=r"cannot read .*gone\.png"):
        decode_image(tmp_path / "gone.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(BadExampleError, match=r"empty\.png is empty"):
        decode_image(tmp_path / "empty.png")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_images_of_one_pixel_are_images(size: tuple[int, int]) -> None:
    backbone = SmallCNN.create(SmallCNN.Config(width=8), ())
    for inputs in ({"image": _encoded(Image.new("L", size))}, {"image": Image.new("1", size), "whole": True}):
        assert backbone.preprocess(inputs)["pixels"].shape == (3, 32, 32)


def test_postscript_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (4, 4)).save(path, "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("ran"))
    for read in (decode_image, read_frame):
        with pytest.raises(BadExampleError, match=r"photo\.jpg is not an image of a known format"):
            read(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    os.mkfifo(path)
    for value in (path, Path("/dev/zero")):
        with pytest.raises(BadExampleError):
            decode_image(value)


def test_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _encoded(Image.new("L", (40, 40)))
    for limit in (1000, 100):  # what Pillow warns of, and what it refuses itself
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(BadExampleError, match="decompression bomb"):
            decode_image(content)


@pytest.mark.parametrize(
    "value",
    [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8), 7, None],
    ids=lambda value: str(getattr(value, "shape", value)),
)
def test_what_is_not_an_image_is_named(value: object) -> None:
    with pytest.raises(BadExampleError, match=r"an image (array )?must be"):
        decode_image(value)


def test_photographs_of_iphones(tmp_path: Path) -> None:
    (tmp_path / "photo.heic").write_bytes(HEIC)
    pixels = decode_image(tmp_path / "photo.heic")
    assert pixels.shape == (3, 64, 64)
    assert (pixels.float().mean(dim=(1, 2)) - torch.tensor([200.0, 30.0, 40.0])).abs().max() < 12
    assert ".heic" in SUFFIXES
