"""Labels in any script: drawn where a font has their characters, else numbers that the model card explains."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure

from headstock import ConfusionMatrix
from headstock.report.fonts import Fonts
from headstock.report.plots import plot_confusion, plot_curves
from headstock.text_table import aligned

UNUSED = "\U00010380\U00010381"
"""Ugaritic letters, which no font has that comes with a system or with matplotlib."""


def square(size: int) -> Any:
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, size), (size, size), (size, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def write_font(path: Path, family: str, characters: str) -> None:
    names = [".notdef", *(f"c{ord(each)}" for each in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(each): name for each, name in zip(characters, names[1:], strict=True)})
    builder.setupGlyf({name: square(700) for name in names})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(path)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of the system's fonts; matplotlib has made its list before anything was put in it."""
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [*manager.ttflist])
    folder = tmp_path / "fonts"
    folder.mkdir()
    monkeypatch.setattr(font_manager, "X11FontDirectories", [*font_manager.X11FontDirectories, str(folder)])
    yield folder
    manager._findfont_cached.cache_clear()


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    kept: list[Figure] = []
    write = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, *given, **more: (kept.append(figure), write(figure, *given, **more))
    )
    return kept


def ticks(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_yticklabels()]


MATRIX = ConfusionMatrix(labels=("plain", UNUSED, "العربية"), pairs=((0, 0, 3), (0, 1, 1), (1, 1, 2), (2, 2, 2)))


def test_what_no_font_has_is_a_number_and_the_others_stay(tmp_path: Path, figures: list[Figure]) -> None:
    assert plot_confusion(MATRIX, tmp_path / "plot.png") == {"#1": UNUSED}
    assert ticks(figures[0]) == ["plain", "#1", "العربية"]
    # matplotlib warns, which is an error here, where it would draw a box


def test_a_font_that_came_after_matplotlibs_list_is_found(
    tmp_path: Path, installed: Path, figures: list[Figure]
) -> None:
    (installed / "broken.ttf").write_bytes(b"no font")
    write_font(installed / "empty.ttf", "Last Resort of Tests", UNUSED)
    assert not Fonts.for_texts([UNUSED]).can_draw(UNUSED)
    write_font(installed / "some.ttf", "Ugaritic of Tests", UNUSED)
    assert plot_confusion(MATRIX, tmp_path / "plot.png") == {}
    assert ticks(figures[0]) == ["plain", UNUSED, "العربية"]
    assert Fonts.for_texts([UNUSED]).families[-1] == "Ugaritic of Tests"
    assert "Ugaritic of Tests" not in Fonts.for_texts(["plain"]).families


def test_two_fonts_draw_one_label_and_a_font_that_is_gone_none(tmp_path: Path, installed: Path) -> None:
    write_font(installed / "first.ttf", "First of Tests", UNUSED[0])
    write_font(installed / "gone.ttf", "Gone of Tests", UNUSED)
    font_manager.fontManager.addfont(installed / "gone.ttf")
    (installed / "gone.ttf").unlink()
    half = Fonts.for_texts([UNUSED])
    assert half.can_draw(UNUSED[0])
    assert not half.can_draw(UNUSED)
    write_font(installed / "second.ttf", "Second of Tests", UNUSED[1])
    assert plot_confusion(MATRIX, tmp_path / "plot.png") == {}


def test_a_metric_in_any_script_has_a_title(tmp_path: Path, figures: list[Figure]) -> None:
    records = [{"kind": "train", "step": 1, "loss": 2.0}, {"kind": "validation", "step": 1, "loss": 1.0, UNUSED: 0.5}]
    plot_curves(records, UNUSED, 1, tmp_path / "curves.png")
    assert figures[0].axes[1].get_title() == "validation metric"


def test_wide_labels_are_cut_by_their_width(tmp_path: Path, figures: list[Figure]) -> None:
    labels = ("العربية" * 20, "x" * 32, "y" * 33)
    plot_confusion(ConfusionMatrix.count(labels, [(0, 0)]), tmp_path / "plot.png")
    assert list(map(len, ticks(figures[0]))) == [32, 32, 32]


def test_tables_line_up_in_any_script() -> None:
    # columns of a terminal: combining marks take none, Chinese characters two
    rows = [("a", "1"), ("好坏", "2"), ("สวัสดี", "3"), ("หนังสือ", "4"), ("한국", "5"), ("e\u0301", "6")]
    widths = [1, 4, 4, 5, 4, 1]
    assert aligned(rows) == [
        name + " " * (5 - width) + "  " + value for (name, value), width in zip(rows, widths, strict=True)
    ]
