"""Reads Pascal VOC: an XML file for each image that names its objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from headstock import DataError, Splits, note, noting
from headstock.kits import split_of
from headstock_vision.detection.objects import PLACE, PROBLEM, SIDES
from headstock_vision.formats.pictures import Pictures, folders_in, visible
from headstock_vision.formats.rows import Annotated, PictureRows, picture_rows

IMAGES = ("jpegimages", "images", "imgs", "image", "img", "pictures", "photos")
"""Folders of images in lower case."""
ANNOTATIONS = ("annotations", "annotation", "annots", "xml", "xmls", "labels")
"""Folders of XML files in lower case."""
LISTS = ("", "ImageSets/Main", "ImageSets")
"""Where files lie that list the images of a split, below the folder."""
OTHER_NAME = "XML files that name another image than the one that is called like them, which was taken"
UNDESCRIBED = "images left out that no XML file describes"
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*?encoding=["']([\w.:-]+)["'][^>]*\?>""")


def read_voc(path: Path) -> Splits | None:
    """Return the rows of a folder in VOC's layout, or ``None`` if it is none.

    That is ``Annotations`` with the XML files beside ``JPEGImages`` (or ``annotations`` beside ``images``, as labelImg
    is often used), and ``train.txt``, ``val.txt`` … (there or in ``ImageSets/Main``) which say what belongs to a split;
    or XML files beside the images. Each split may also be a folder of its own. Numbers are taken as edges in pixels
    from 0, though VOC itself counts pixels from 1. Objects marked as difficult are objects like others.

    Raises:
        DataError: an XML file is damaged, or an image or annotation is missing; names the file.
    """
    if not path.is_dir():
        return None
    whole = _read(path)
    if whole is not None:
        return whole
    splits: dict[str, Any] = {}
    for folder in folders_in(path):
        split = split_of(folder.name)
        found = _read(folder) if split is not None else None
        if split is None or found is None:
            continue
        if split in splits:
            raise DataError(f"{path} has two folders for {split}; say which with data.{split}")
        splits[split] = found["train"] if "train" in found else next(iter(found.values()))
    return splits if "train" in splits else None


def _read(path: Path) -> Splits | None:
    """Return the rows of one folder, by the lists of splits that it has."""
    folders = folders_in(path)
    for folder in (each for each in folders if each.name.casefold() in ANNOTATIONS):
        found = _described(folder)
        if found:
            images = [each for each in folders if each.name.casefold() in IMAGES]
            return _listed(path, found, Pictures([*images, path, folder]))
    beside = visible(path, ".xml")
    return {"train": _rows(path, beside, Pictures([path]))} if beside else None


def _described(folder: Path) -> list[Path]:
    """Return the XML files of a folder, or of the folders in it."""
    found = visible(folder, ".xml")
    return found or [file for inside in folders_in(folder) for file in visible(inside, ".xml")]


def _listed(path: Path, files: list[Path], pictures: Pictures) -> Splits:
    by_stem = {file.stem: file for file in files}
    splits: dict[str, PictureRows] = {}
    for list_file in (file for place in LISTS if (path / place).is_dir() for file in visible(path / place, ".txt")):
        split = split_of(list_file.stem)
        if split is None or split in splits:
            continue
        listed = []
        for name in _lines(list_file):
            stem = name if name in by_stem else Path(name.replace("\\", "/")).stem
            if stem not in by_stem:
                raise DataError(f"{list_file} lists '{name}', but there is no {files[0].parent / stem}.xml")
            listed.append(by_stem[stem])
        splits[split] = _rows(path, listed, pictures, said=True)
    return splits or {"train": _rows(path, files, pictures)}


def _lines(file: Path) -> list[str]:
    """Return the names in a list, each once; what follows a name (1, -1) says whether a class is in it."""
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {file}: {error}") from error
    names = [re.sub(r"\s+-?[01]$", "", line.strip()) for line in lines]
    return list(dict.fromkeys(name for name in names if name))


def _rows(path: Path, files: list[Path], pictures: Pictures, said: bool = False) -> PictureRows:
    with noting() as notes:
        described = [_annotated(file, pictures) for file in files]
        if not said:
            taken = {each.path for each in described}
            note(UNDESCRIBED, sum(picture not in taken for picture in pictures.all()))
    return picture_rows(path, described, pictures.folders, notes)


def _annotated(file: Path, pictures: Pictures) -> Annotated:
    root = _parsed(file)
    name = (root.findtext("filename") or "").strip()
    size = {side: text for side in ("width", "height") if (text := (root.findtext(f"size/{side}") or "").strip())}
    objects = [_object(number, each) for number, each in enumerate(root.iter("object"), 1)]
    return Annotated(str(file), name or file.stem, _image(file, name, pictures), objects, size)


def _parsed(file: Path) -> Element:
    try:
        content = file.read_bytes().lstrip()
        declared = _ENCODING.match(content)
        try:
            root: Element = fromstring(content)
        except ValueError as error:
            if isinstance(error, DefusedXmlException) or declared is None:
                raise
            # expat reads no encodings of several bytes (GBK, Shift JIS), which Python does
            root = fromstring(content[declared.end() :].decode(declared[1].decode()))
    except DefusedXmlException as error:
        raise DataError(
            f"{file} declares entities, which are not read: they can fill the memory or read files"
        ) from error
    except (OSError, ParseError, ValueError, LookupError, RecursionError) as error:
        raise DataError(f"{file} is not readable XML: {error}") from error
    if not isinstance(root.tag, str) or root.tag != "annotation":
        raise DataError(f"{file} is not in VOC's format: its outermost element is '{root.tag}', not 'annotation'")
    return root


def _object(number: int, element: Element) -> dict[str, Any]:
    """Return an object, with the reason where it cannot be used."""
    found: dict[str, Any] = {PLACE: f"object {number}", "label": (element.findtext("name") or "").strip()}
    if not found["label"]:
        return {**found, PROBLEM: "has no name"}
    texts = [(element.findtext(f"bndbox/{side}") or "").strip() for side in SIDES]
    try:
        found["box"] = dict(zip(SIDES, map(float, texts), strict=True))
    except ValueError:
        shown = ", ".join(f"{side}='{text}'" for side, text in zip(SIDES, texts, strict=True))
        found[PROBLEM] = f"has no bndbox with numbers: {shown}"
    return found


def _image(file: Path, name: str, pictures: Pictures) -> Path | None:
    """Return the image that an XML file is about: the one that is called like it, or else the one that it names.

    Files are renamed more often than what stands in them, and tools go by their names.
    """
    alike = pictures.called(file.stem)
    exact = [path for path in alike if path.name == name]
    if alike:
        if name and not exact and Path(name.replace("\\", "/")).stem != file.stem:
            note(OTHER_NAME)
        return (exact or alike)[0]
    return pictures.named(name) if name else None
