from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from headstock.data import DataConfig, Table, load_table
from headstock.data.cache.cached_folder import CacheError
from headstock.interfaces import BadExampleError, Column, DataError

Columns = tuple[Column, ...]


def read(content: str | bytes, columns: Columns, name: str = "reviews.csv") -> Table:
    path = Path(name)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_table(path, DataConfig(), columns)


def test_rows_by_the_tasks_columns(texts: Columns) -> None:
    table = read("id,text,label\n1,good,pos\n2,bad,neg\n", texts)
    assert list(table) == [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]
    assert table.columns == ("text", "label")
    assert table.where(1) == "reviews.csv row 2"


def test_values_stay_the_text_they_are(texts: Columns) -> None:
    values = ["NA", "null", "None", "nan", "", "007", "1.0", "1e5", "True", "2020-01-01", " x "]
    table = read("text,label\n" + "".join(f"{value},{value}\n" for value in values), texts)
    assert [row["text"] for row in table] == values
    assert list(table.values("label")) == values


def test_quotes_hold_delimiters_newlines_and_quotes(texts: Columns) -> None:
    table = read('text,label\n"one, two\nthree ""four""",pos\nfive,neg\n', texts)
    assert [row["text"] for row in table] == ['one, two\nthree "four"', "five"]
    assert table.where(1) == "reviews.csv row 2"


def test_byte_order_mark_and_windows_line_ends_are_no_content(texts: Columns) -> None:
    table = read(b"\xef\xbb\xbftext,label\r\ngood,pos\r\n\r\nbad,neg\r\n", texts)
    assert list(table) == [{"text": "good", "label": "pos"}, {"text": "bad", "label": "neg"}]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(delimiter: str, texts: Columns) -> None:
    lines = [("text", "label"), ('"a; b, c|d"', "pos")]
    assert read("\n".join(delimiter.join(line) for line in lines), texts)[0] == {"text": "a; b, c|d", "label": "pos"}


def test_a_quoted_header_may_hold_other_delimiters(texts: Columns) -> None:
    assert read('"text";"label";"a,b,c,d"\ngood;pos;x\n', texts)[0] == {"text": "good", "label": "pos"}


def test_tsv_is_cut_at_tabs_only(texts: Columns) -> None:
    table = read("text\tlabel\na, b; c\tpos\n", texts, "reviews.tsv")
    assert table[0] == {"text": "a, b; c", "label": "pos"}


def test_a_quote_may_be_just_a_character_in_tsv(texts: Columns) -> None:
    quoted = read('text\tlabel\n"a\t""b"""\tpos\n', texts, "reviews.tsv")
    assert list(quoted.values("text")) == ['a\t"b"']
    bare = read('text\tlabel\n"never closed\tpos\n"so" he said\tneg\n', texts, "reviews.tsv")
    assert list(bare.values("text")) == ['"never closed', '"so" he said']
    broken = read('text\tlabel\n"never closed\nx\ty\n"a" b\tc\td\n', texts, "reviews.tsv")
    assert problems(broken) == {
        "reviews.tsv line 2": "1 field where the header has 2",
        "reviews.tsv line 4": "3 fields where the header has 2; a value that holds a tab must stand in double quotes",
    }


def test_very_long_values_are_read_and_pythons_limit_is_left_alone(texts: Columns) -> None:
    before = csv.field_size_limit()
    assert len(read("text,label\n" + "x" * 300_000 + ",pos\n", texts)[0]["text"]) == 300_000
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('text,label\na,b\n"never,closed\nx,y\n', r"reviews\.csv line 3: a double quote is opened and never closed"),
        ("te\0xt,label\na,b\n", r"reviews\.csv line 1: it holds a NUL, as UTF-16 and binary files do"),
        ("text,label\n", r"reviews\.csv has no rows"),
        ("\n\n", r"reviews\.csv is empty"),
        ("", r"reviews\.csv is empty"),
        ("text,text,label\na,b,c\n", r"reviews\.csv has 2 columns named 'text'"),
        ("great film,1\nbad film,0\n", r"reviews\.csv has no column 'text'; it has: great film, 1; map one with"),
        ("text,label\ncaf\xe9,pos\n".encode("latin-1"), r"reviews\.csv is not UTF-8 text .*; save it as UTF-8"),
        ("text,label\n".encode("utf-16"), r"reviews\.csv is not UTF-8 text"),
    ],
)
def test_a_broken_file_is_one_line_that_says_where(content: str | bytes, message: str, texts: Columns) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read(content, texts)
    assert "\n" not in str(caught.value)


def problems(table: Table) -> dict[str, str]:
    """Return the rows that cannot be used: what is wrong, by place."""
    found = {}
    for index in range(len(table)):
        try:
            table[index]
        except BadExampleError as error:
            found[table.where(index)] = str(error)
    return found


@pytest.mark.parametrize(
    ("row", "where", "message"),
    [
        ("bad", 3, "1 field where the header has 2"),
        ("c,d,e", 3, "3 fields where the header has 2; a value that holds ',' must stand in double quotes"),
        ('"say "hi"",pos', 3, "',' expected after '\"'; a value that holds a double quote must stand in quotes, with "
         "the quote written twice"),
        ("a\0b,pos", 3, "it holds a NUL, as UTF-16 and binary files do; text in UTF-8 is expected"),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_used_leaves_the_others(row: str, where: int, message: str, texts: Columns) -> None:
    table = read(f'text,label\n"good\n",pos\n{row}\nlast,neg\n', texts)
    assert (table[0], table[2]) == ({"text": "good\n", "label": "pos"}, {"text": "last", "label": "neg"})
    assert (table.where(0), table.where(2)) == ("reviews.csv row 1", "reviews.csv row 3")
    assert problems(table) == {f"reviews.csv line {where + 1}": message}
    assert list(table.values("label")) == ["pos", None, "neg"]


def test_a_file_that_is_cut_off_loses_its_last_row(texts: Columns) -> None:
    table = read('text,label\ngood,pos\n"never clo', texts)
    assert problems(table) == {"reviews.csv line 3": "the file ends inside of a quoted value; is it cut off?"}


def test_a_line_of_blanks_is_no_row(texts: Columns) -> None:
    assert len(read("text,label\ngood,pos\n  \n\nbad,neg\n \n", texts)) == 2


def test_blank_lines_of_a_single_column_are_empty_cells(texts: Columns) -> None:
    table = read('text\n\n"a"\n""\n\nb\n\n\n', texts[:1])
    assert [row["text"] for row in table] == ["", "a", "", "", "b"]


def test_a_file_without_header(texts: Columns) -> None:
    Path("sms.csv").write_text("ham,see you\nspam,win now\nham,text\n")
    mapped = DataConfig(header=False, columns={"label": "column_1", "text": "column_2"})
    table = load_table(Path("sms.csv"), mapped, texts)
    assert [tuple(row.values()) for row in table] == [("see you", "ham"), ("win now", "spam"), ("text", "ham")]
    assert table.notes == ()
    message = (
        r"has no column 'text'; it has: column_1, column_2; map one with .*has: column_1 'ham', column_2 'see you'$"
    )
    with pytest.raises(DataError, match=message):
        load_table(Path("sms.csv"), DataConfig(header=False), texts)
    Path("named.csv").write_text("label,text\nham,see you\n")
    note = "named.csv: the first row reads label, text; if that is a header, leave out data.header=false"
    assert load_table(Path("named.csv"), mapped, texts).notes == (note,)


@pytest.mark.parametrize(
    "content", ["great film,1\nbad film,0\n", "ham,see you\nspam,win\nham,so long\n", "one two three four five,x\n"]
)
def test_a_first_row_that_looks_like_data_is_pointed_at(content: str, texts: Columns) -> None:
    with pytest.raises(DataError, match=r"has no column 'text'.*; if the first row is data .*set data\.header=false$"):
        read(content, texts)
    with pytest.raises(DataError, match=r"map one with data\.columns\.text=review$"):
        read("review,stars\ngood film,5\n", texts)


def test_a_target_called_like_one_of_its_values_is_pointed_at(texts: Columns) -> None:
    Path("sms.csv").write_text("ham,see you\nspam,win\nham,so long\n")
    table = load_table(Path("sms.csv"), DataConfig(columns={"label": "ham", "text": "see you"}), texts)
    assert table.notes == (
        "sms.csv: the name of column 'ham' is also one of its values; if the first row is data and names no columns, "
        "set data.header=false",
    )
    assert read("text,label\nlabel,a\ntext,b\n", texts).notes == ()


def test_the_delimiter_is_the_one_that_finds_the_wanted_columns(texts: Columns) -> None:
    assert read("text;label;a,b,c,d\ngood;pos;x\n", texts)[0] == {"text": "good", "label": "pos"}
    Path("sms.csv").write_text("ham;a, b, c\nspam;d\nham;e, f\n")
    table = load_table(
        Path("sms.csv"), DataConfig(header=False, columns={"label": "column_1", "text": "column_2"}), texts
    )
    assert list(table.values("text")) == ["a, b, c", "d", "e, f"]


def test_a_missing_file_is_named(texts: Columns) -> None:
    with pytest.raises(DataError, match=r"^gone\.csv does not exist$"):
        load_table(Path("gone.csv"), DataConfig(), texts)


def test_an_unknown_ending_asks_for_the_format(texts: Columns) -> None:
    with pytest.raises(DataError, match=r"reviews\.dat: .*\.csv, \.tsv.*set data\.format"):
        read("text,label\na,b\n", texts, "reviews.dat")
    assert load_table(Path("reviews.dat"), DataConfig(format="csv"), texts)[0] == {"text": "a", "label": "b"}


def test_odd_file_names_are_only_names(texts: Columns) -> None:
    assert len(read("text,label\na,b\n", texts, "a[1]*?.CSV")) == 1


def test_changed_content_of_equal_size_and_time_is_read_anew(texts: Columns, stored: Path) -> None:
    assert read("text,label\ngood,pos\n", texts)[0]["text"] == "good"
    times = os.stat("reviews.csv")
    Path("reviews.csv").write_text("text,label\nwood,pos\n")
    os.utime("reviews.csv", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert os.stat("reviews.csv").st_size == times.st_size
    assert load_table(Path("reviews.csv"), DataConfig(), texts)[0]["text"] == "wood"
    assert len(list(stored.iterdir())) == 2


def test_the_same_content_is_stored_once(texts: Columns, stored: Path) -> None:
    read("text,label\ngood,pos\n", texts)
    before = {path: path.stat().st_mtime_ns for path in stored.iterdir()}
    read("text,label\ngood,pos\n", texts, "copy.csv")
    assert {path: path.stat().st_mtime_ns for path in stored.iterdir()} == before


def test_the_same_content_under_another_mapping_is_another_table(texts: Columns) -> None:
    Path("a.csv").write_text("text,body,label\nshort,long,pos\n")
    assert load_table(Path("a.csv"), DataConfig(), texts)[0]["text"] == "short"
    assert load_table(Path("a.csv"), DataConfig(columns={"text": "body"}), texts)[0]["text"] == "long"


def test_a_cache_that_cannot_be_written_is_named(texts: Columns, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("taken").write_text("a file")
    monkeypatch.setenv("HEADSTOCK_CACHE", "taken")
    with pytest.raises(CacheError, match=r"cannot write taken.*HEADSTOCK_CACHE"):
        read("text,label\ngood,pos\n", texts)


def test_a_folder_for_a_file_is_refused_as_a_format(texts: Columns) -> None:
    Path("a.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match=r"a\.csv is a file; data\.format=folder"):
        load_table(Path("a.csv"), DataConfig(format="folder"), texts)
