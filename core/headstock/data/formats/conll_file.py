"""CoNLL files as a table. What the format holds is ``words`` and ``tags``, each a list, one row a sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from headstock.data.arrow_rows import LineRows
from headstock.data.columns import find_columns
from headstock.data.conll import read_sentences
from headstock.data.formats.text_file import open_text
from headstock.data.store import stored
from headstock.data.values import plain
from headstock.interfaces import Column, DataError
from headstock.kits.iob2 import to_iob2

COLUMNS = ("words", "tags")


def read_conll(path: Path, columns: Sequence[Column], mapping: Mapping[str, str], need_targets: bool) -> LineRows:
    """Return the sentences of a CoNLL file, tags as IOB2.

    Raises:
        DataError: not UTF-8, a line without a tag or with an impossible one, or a task that has other columns.
    """
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    available = COLUMNS if need_targets or _has_tags(path) else COLUMNS[:1]
    wanted = {column.name: mapping.get(column.name, column.name) for column in columns}
    lacking = [
        column.name
        for column in columns
        if wanted[column.name] not in COLUMNS and column.required and (need_targets or column.role == "input")
    ]
    if lacking:
        raise DataError(
            f"{path}: this task does not read CoNLL, which holds words and tags; it needs {' and '.join(lacking)}"
        )
    found = find_columns(str(path), available, columns, mapping, need_targets)

    def fill(writer: ArrowWriter) -> None:
        with open_text(path) as stream:
            for sentence in read_sentences(stream, str(path), need_targets):
                row = {"words": sentence.words, "line": sentence.line}
                writer.write(row if sentence.tags is None else {**row, "tags": to_iob2(sentence.tags)})

    features = Features({name: List(Value("string")) for name in available} | {"line": Value("int64")})
    dataset = stored(path, ["conll", list(available)], features, fill)
    return LineRows(str(path), dataset.with_format("arrow"), found, dict.fromkeys(found, plain))


def _has_tags(path: Path) -> bool:
    with open_text(path) as stream:
        first = next(read_sentences(stream, str(path), need_tags=False), None)
    return first is not None and first.tags is not None
