from __future__ import annotations

from pathlib import Path

import pytest

from headstock.data import DataConfig, Table, load_evaluation, load_splits, load_table
from headstock.interfaces import DataError
from headstock.preprocessing.reading import read_split
from headstock_text.tasks.token_classification import TokenClassification, TokenClassificationConfig

DATA = Path(__file__).parents[5] / "shared" / "data"
TASK = TokenClassification(TokenClassificationConfig())


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADSTOCK_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.chdir(tmp_path)


def load(name: str, need_targets: bool = True, **options: object) -> Table:
    config = DataConfig.model_validate(options)
    return load_table(Path(name), config, TASK.columns, need_targets=need_targets, reader=TASK)


def read(content: str, need_targets: bool = True) -> Table:
    Path("train.conll").write_text(content, encoding="utf-8")
    return load("train.conll", need_targets)


def test_sentences_and_their_lines() -> None:
    table = read("\nAnna\tB-PER\nlives\tO\n\n\nin\tO\nNew York\tB-LOC\n")
    assert list(table) == [
        {"words": ["Anna", "lives"], "tags": ["B-PER", "O"]},
        {"words": ["in", "New York"], "tags": ["O", "B-LOC"]},
    ]
    assert [table.where(0), table.where(1)] == ["train.conll line 2", "train.conll line 6"]


def test_first_column_is_the_word_and_last_the_tag() -> None:
    table = read("-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects  VBZ B-VP O \r\n")
    assert list(table) == [{"words": ["EU", "rejects"], "tags": ["B-ORG", "O"]}]


def test_a_hash_is_a_comment_only_where_it_is_no_word() -> None:
    table = read("# sent 1\n# text\tas it was\n#\tO\n#tag\tB-X\n# newdoc\n")
    assert table[0] == {"words": ["#", "#tag"], "tags": ["O", "B-X"]}
    table = read("# a comment on O\n# O\nx I-Y\n")
    assert table[0] == {"words": ["#", "x"], "tags": ["O", "B-Y"]}


def test_unusual_blanks_are_no_separators() -> None:
    assert read("a\u00a0b\tO\n\u3000\tO\n")[0]["words"] == ["a\u00a0b", "\u3000"]


@pytest.mark.parametrize("name", ["a.iob", "a.bio", "a.CONLL"])
def test_endings(name: str) -> None:
    Path(name).write_text("a\tO\n")
    assert len(load(name)) == 1


def test_text_files_by_format() -> None:
    Path("a.txt").write_text("a\tO\n")
    assert len(load("a.txt", format="conll")) == 1
    Path("ner").mkdir()
    for split in ("train", "dev", "test"):
        Path(f"ner/{split}.csv").write_text("words,tags\n")
        Path(f"ner/{split}.txt").write_text("a\tO\n")
    tables = load_splits(DataConfig(path="ner", format="conll"), TASK.columns, TASK.sample, TASK)
    assert tables["validation"].where(0) == "ner/dev.txt line 1"
    table = load_evaluation(DataConfig(path="ner", format="conll"), TASK.columns, reader=TASK)
    assert table.where(0) == "ner/test.txt line 1"


@pytest.mark.parametrize("tag", ["X-PER", "B", "B-", "o", "PER", "-", "-PER"])
def test_impossible_tags(tag: str) -> None:
    table = read(f"a\tO\nb\t{tag}\nc\tPER\n\na\tO\n")
    with pytest.raises(DataError, match=rf"^train\.conll line 2: '{tag}' is no tag.*on_bad_example=skip leaves"):
        read_split("train", table, TASK, "error")
    kept = read_split("train", table, TASK, "skip")
    assert kept.references == [["O"]]
    assert [line.split(";")[0] for line in kept.skipped] == [f"train.conll line 2: '{tag}' is no tag"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\n\nb\n", r"^train\.conll line 3: 'b' has no tag"),
        ("b\t\n", r"^train\.conll line 1: 'b' has no tag"),
        ("a\tO\n\tO\n", r"^train\.conll line 2: the word is missing"),
        ("a\nb\n", "'a' has no tag"),
    ],
)
def test_a_line_without_tag_or_word(content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_split("train", read(content), TASK, "error")


def test_words_alone_will_do_for_prediction() -> None:
    table = read("a\nb\n\n# comment\nc\n", need_targets=False)
    assert list(table) == [{"words": ["a", "b"]}, {"words": ["c"]}]
    assert read("a\tO\n", need_targets=False)[0] == {"words": ["a"], "tags": ["O"]}
    with pytest.raises(DataError, match=r"^train\.conll line 3: more than a word"):
        read_split("input", read("a\n\nNew York\n", need_targets=False), TASK, "error", predicting=True)


def test_a_file_without_sentences() -> None:
    with pytest.raises(DataError, match=r"train\.conll has no rows"):
        read("\n\n")


def test_columns_that_the_format_has_not() -> None:
    Path("a.conll").write_text("a\tO\n")
    with pytest.raises(DataError, match=r"CoNLL holds words and tags, and no column 'ner', which data\.columns\.tags"):
        load("a.conll", columns={"tags": "ner"})


def test_real_files() -> None:
    folder = DATA / "ner" / "wnut17_en"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    tables = load_splits(DataConfig(path=str(folder)), TASK.columns, TASK.sample, TASK)
    assert [len(table) for table in tables.values()] == [3394, 1009, 1287]
