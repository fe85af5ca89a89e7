from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import DataConfig, load_table
from headstock.interfaces import Column, DataError

Columns = tuple[Column, ...]


def header(names: str, width: int = 0) -> Path:
    path = Path("reviews.csv")
    width = width or len(names.split(","))
    path.write_text(f"{names}\n{','.join('abcdefghijklmnopqrstuvwxyz'[:width])}\n")
    return path


def test_case_and_blanks_do_not_matter(texts: Columns) -> None:
    assert load_table(header(" Text ,LABEL"), DataConfig(), texts)[0] == {"text": "a", "label": "b"}


def test_the_exact_name_goes_before_others(texts: Columns) -> None:
    assert load_table(header("TEXT,text,label"), DataConfig(), texts)[0] == {"text": "b", "label": "c"}


def test_two_that_fit_equally_are_refused(texts: Columns) -> None:
    with pytest.raises(DataError, match=r"reviews\.csv has 2 columns named 'text'"):
        load_table(header("TEXT,Text,label"), DataConfig(), texts)


def test_mapping_goes_before_the_name(texts: Columns) -> None:
    table = load_table(header("text,review,label"), DataConfig(columns={"text": "review"}), texts)
    assert table[0] == {"text": "b", "label": "c"}


def test_optional_columns_are_taken_where_they_are(texts: Columns) -> None:
    assert load_table(header("text,text_pair,label"), DataConfig(), texts)[0]["text_pair"] == "b"
    assert "text_pair" not in load_table(header("text,label"), DataConfig(), texts)[0]


@pytest.mark.parametrize(
    ("names", "mapping", "message"),
    [
        (
            "review,stars",
            {},
            r"^reviews\.csv has no column 'text'; it has: review, stars; map one with data\.columns\.text=review$",
        ),
        ("id,texts,label", {}, r"map one with data\.columns\.text=texts$"),
        ("text,stars", {}, r"has no column 'label'; it has: text, stars; map one with data\.columns\.label=stars$"),
        ("text", {}, r"has no column 'label'; it has: text$"),
        (
            "text,label",
            {"text": "body"},
            r"^reviews\.csv has no column 'body', which data\.columns\.text names; it has: text, label$",
        ),
        ("text,label", {"text_pair": "body"}, r"has no column 'body', which data\.columns\.text_pair names"),
        ("text,label", {"txt": "text"}, r"^data\.columns\.txt: the task has no column 'txt'; did you mean text"),
    ],
)
def test_what_is_missing_is_said_with_what_is_there(
    names: str, mapping: dict[str, str], message: str, texts: Columns
) -> None:
    with pytest.raises(DataError, match=message):
        load_table(header(names), DataConfig(columns=mapping), texts)


def test_long_lists_of_columns_are_cut_short(texts: Columns) -> None:
    names = ",".join(f"c{number}" for number in range(20))
    with pytest.raises(DataError, match=r"c11 and 8 more; map one"):
        load_table(header(names), DataConfig(), texts)


def test_targets_may_be_missing_when_they_are_not_needed(texts: Columns) -> None:
    table = load_table(header("text,other"), DataConfig(columns={"label": "stars"}), texts, need_targets=False)
    assert table[0] == {"text": "a"}
    assert table.columns == ("text",)
    assert load_table(header("text,label"), DataConfig(), texts, need_targets=False)[0] == {"text": "a", "label": "b"}
    with pytest.raises(DataError, match="no column 'text'"):
        load_table(header("label,other"), DataConfig(), texts, need_targets=False)


def test_files_are_found_from_the_tables_folder(sounds: Columns) -> None:
    Path("speech").mkdir()
    Path("speech/train.csv").write_text("sound,text\naudio/1.wav,one\n/abs/2.wav,two\n,three\nhf://x/4.wav,four\n")
    table = load_table(Path("speech/train.csv"), DataConfig(), sounds)
    assert list(table.values("sound")) == ["speech/audio/1.wav", "/abs/2.wav", None, "hf://x/4.wav"]


def test_file_name_stands_in_for_a_file_column_only(sounds: Columns, texts: Columns) -> None:
    Path("a.csv").write_text("file_name,text\n1.wav,one\n")
    assert load_table(Path("a.csv"), DataConfig(), sounds)[0] == {"sound": "1.wav", "text": "one"}
    Path("b.csv").write_text("file_name,sound,text\n1.wav,2.wav,one\n")
    assert load_table(Path("b.csv"), DataConfig(), sounds)[0]["sound"] == "2.wav"
    Path("c.csv").write_text("file_name,label\n1.wav,one\n")
    with pytest.raises(DataError, match="no column 'text'"):
        load_table(Path("c.csv"), DataConfig(), texts)


def test_file_values_in_json_lines(sounds: Columns) -> None:
    Path("d").mkdir()
    Path("d/a.jsonl").write_text('{"sound": "1.wav", "text": "x"}\n{"sound": {"path": "2.wav", "bytes": null}}\n')
    table = load_table(Path("d/a.jsonl"), DataConfig(), sounds)
    assert list(table.values("sound")) == ["d/1.wav", {"path": "d/2.wav", "bytes": None}]
