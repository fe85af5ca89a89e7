from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import Table, load_table
from headstock.interfaces import Column, DataError

Columns = tuple[Column, ...]


def read(content: str, columns: Columns, need_targets: bool = True) -> Table:
    Path("train.conll").write_text(content, encoding="utf-8")
    return load_table(Path("train.conll"), "auto", columns, {}, need_targets=need_targets)


def test_sentences_and_their_lines(sentences: Columns) -> None:
    table = read("\nAnna\tB-PER\nlives\tO\n\n\nin\tO\nNew York\tB-LOC\n", sentences)
    assert list(table) == [
        {"words": ["Anna", "lives"], "tags": ["B-PER", "O"]},
        {"words": ["in", "New York"], "tags": ["O", "B-LOC"]},
    ]
    assert [table.where(0), table.where(1)] == ["train.conll line 2", "train.conll line 6"]


def test_first_column_is_the_word_and_last_the_tag(sentences: Columns) -> None:
    table = read("-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects  VBZ B-VP O \r\n", sentences)
    assert list(table) == [{"words": ["EU", "rejects"], "tags": ["B-ORG", "O"]}]


def test_a_hash_is_a_comment_only_where_it_is_no_word(sentences: Columns) -> None:
    table = read("# sent 1\n# text\tas it was\n#\tO\n#tag\tB-X\n# newdoc\n", sentences)
    assert table[0] == {"words": ["#", "#tag"], "tags": ["O", "B-X"]}
    table = read("# a comment on O\n# O\nx I-Y\n", sentences)
    assert table[0] == {"words": ["#", "x"], "tags": ["O", "B-Y"]}


def test_unusual_blanks_are_no_separators(sentences: Columns) -> None:
    assert read("a\u00a0b\tO\n\u3000\tO\n", sentences)[0]["words"] == ["a\u00a0b", "\u3000"]


@pytest.mark.parametrize("name", ["a.iob", "a.bio", "a.CONLL"])
def test_endings(name: str, sentences: Columns) -> None:
    Path(name).write_text("a\tO\n")
    assert len(load_table(Path(name), "auto", sentences, {})) == 1


def test_text_files_by_format(sentences: Columns) -> None:
    Path("a.txt").write_text("a\tO\n")
    assert len(load_table(Path("a.txt"), "conll", sentences, {})) == 1


@pytest.mark.parametrize("tag", ["X-PER", "B", "B-", "o", "PER", "-", "-PER"])
def test_impossible_tags(tag: str, sentences: Columns) -> None:
    with pytest.raises(DataError, match=rf"^train\.conll line 2: '{tag}' is no tag"):
        read(f"a\tO\nb\t{tag}\n", sentences)


def test_a_line_without_tag_or_word(sentences: Columns) -> None:
    with pytest.raises(DataError, match=r"^train\.conll line 3: 'b' has no tag"):
        read("a\tO\n\nb\n", sentences)
    with pytest.raises(DataError, match=r"^train\.conll line 1: 'b' has no tag"):
        read("b\t\n", sentences)
    with pytest.raises(DataError, match=r"^train\.conll line 2: the word is missing"):
        read("a\tO\n\tO\n", sentences)


def test_words_alone_will_do_for_prediction(sentences: Columns) -> None:
    table = read("a\nb\n\n# comment\nc\n", sentences, need_targets=False)
    assert list(table) == [{"words": ["a", "b"]}, {"words": ["c"]}]
    assert read("a\tO\n", sentences, need_targets=False)[0] == {"words": ["a"], "tags": ["O"]}
    with pytest.raises(DataError, match="'a' has no tag"):
        read("a\nb\n", sentences)


def test_a_file_without_sentences(sentences: Columns) -> None:
    with pytest.raises(DataError, match=r"train\.conll has no rows"):
        read("\n\n", sentences)


def test_tasks_with_other_columns_do_not_read_it(texts: Columns) -> None:
    with pytest.raises(DataError, match=r"train\.conll: this task does not read CoNLL.*it needs text and label"):
        read("a\tO\n", texts)


def test_what_conll_holds_can_be_mapped() -> None:
    columns = (
        Column(name="tokens", role="input", summary="words"),
        Column(name="ner", role="target", summary="tags"),
    )
    Path("a.conll").write_text("a\tS-X\n")
    table = load_table(Path("a.conll"), "auto", columns, {"tokens": "words", "ner": "tags"})
    assert table[0] == {"tokens": ["a"], "ner": ["B-X"]}
