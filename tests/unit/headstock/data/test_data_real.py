from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import DataConfig, load_splits
from headstock.interfaces import Column

DATA = Path(__file__).parents[5] / "shared" / "data"
Columns = tuple[Column, ...]


def sizes(folder: str, columns: Columns) -> list[int]:
    if not (DATA / folder).is_dir():
        pytest.skip(f"{DATA / folder} is not here")
    tables = load_splits(DataConfig(path=str(DATA / folder)), columns, dict)
    for split, table in tables.items():
        assert table[len(table) - 1].keys() == {column.name for column in columns}
        assert split[:5] in table.where(0)
    return [len(table) for table in tables.values()]


def test_csv_files(texts: Columns) -> None:
    assert sizes("text_classification/sst2_en", (texts[0], texts[2])) == [6909, 872, 1821]


def test_class_folders(pictures: Columns) -> None:
    assert sizes("image_classification/hymenoptera", pictures) == [240, 50, 90]


def test_csv_files_that_name_media(sounds: Columns) -> None:
    assert sizes("speech/fsdd", sounds) == [420, 120, 180]
    path = load_splits(DataConfig(path=str(DATA / "speech/fsdd")), sounds, dict)["test"][0]["sound"]
    assert Path(path).is_file()
