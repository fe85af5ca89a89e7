"""Reads Pascal VOC: an XML file for each image that names its objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from headstock import DataError, Splits
from headstock.kits import SPLIT_NAMES
from headstock_vision.detection.objects import SIDES, Box, as_object

IMAGES = "JPEGImages"
ANNOTATIONS = "Annotations"
LISTS = ("", "ImageSets/Main")
"""Where files lie that list the images of a split, below the folder."""


def read_voc(path: Path) -> Splits | None:
    """Return the rows of a folder in VOC's layout, or ``None`` if it is none.

    That is ``Annotations`` with the XML files beside ``JPEGImages``, and ``train.txt``, ``val.txt`` … (there or in
    ``ImageSets/Main``) which say what belongs to a split; or XML files beside the images, in one folder or in one for
    each split. Objects marked as difficult are objects like others.

    Raises:
        DataError: an XML file is damaged, or an image or annotation is missing; names the file.
    """
    if not path.is_dir():
        return None
    if (path / ANNOTATIONS).is_dir():
        return _listed(path)
    folders = {
        split: [path / alias for alias in aliases if _holds_xml(path / alias)] for split, aliases in SPLIT_NAMES.items()
    }
    if folders["train"]:
        return {split: _rows(sorted(found[0].glob("*.xml"))) for split, found in folders.items() if found}
    return {"train": _rows(sorted(path.glob("*.xml")))} if _holds_xml(path) else None


def _holds_xml(folder: Path) -> bool:
    return folder.is_dir() and any(folder.glob("*.xml"))


def _listed(path: Path) -> Splits:
    splits: dict[str, list[dict[str, Any]]] = {}
    for split, aliases in SPLIT_NAMES.items():
        files = [path / place / f"{alias}.txt" for place in LISTS for alias in aliases]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            continue
        names = [line.split()[0] for line in file.read_text("utf-8").splitlines() if line.strip()]
        splits[split] = _rows([path / ANNOTATIONS / f"{name}.xml" for name in names], file)
    return splits or {"train": _rows(sorted((path / ANNOTATIONS).glob("*.xml")))}


def _rows(files: list[Path], listed_in: Path | None = None) -> list[dict[str, Any]]:
    rows = []
    for file in files:
        if listed_in is not None and not file.is_file():
            raise DataError(f"{listed_in} lists '{file.stem}', but there is no {file}")
        rows.append(_row(file))
    return rows


def _row(file: Path) -> dict[str, Any]:
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except (OSError, ElementTree.ParseError) as error:
        raise DataError(f"{file} is not readable XML: {error}") from error
    name = (root.findtext("filename") or "").strip()
    objects = []
    for number, each in enumerate(root.iter("object"), 1):
        label = (each.findtext("name") or "").strip()
        try:
            box = Box(*(float(each.findtext(f"bndbox/{side}") or "") for side in SIDES))
        except ValueError:
            label = ""
        if not label:
            raise DataError(f"{file}: object {number} has no name, or no bndbox with {', '.join(SIDES)}")
        objects.append(as_object(label, box))
    return {"image": str(_image(file, name)), "objects": objects}


def _image(file: Path, name: str) -> Path:
    """Return the image that an XML file is about: the one it names, or the one that is called like it."""
    folder = file.parent.parent / IMAGES if file.parent.name == ANNOTATIONS else file.parent
    if name and (folder / name).is_file():
        return folder / name
    alike = sorted(other for other in folder.glob(f"{file.stem}.*") if other.suffix != ".xml")
    if not alike:
        raise DataError(f"{file} is about '{name or file.stem}', which is not in {folder}")
    return alike[0]
