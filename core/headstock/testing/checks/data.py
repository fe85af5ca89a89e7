"""Checks of a task's data: sample, references, bad rows, what is learnt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headstock.data.file_formats import AUTO, FOLDER, SUFFIXES
from headstock.error_text import shown
from headstock.interfaces import BadExampleError, Column, DataError, Request, Task
from headstock.interfaces.task import Row
from headstock.preprocessing.fingerprint import content_digest
from headstock.testing.check import CheckFailure, check, expect
from headstock.testing.subject import Subject
from headstock_registry import HeadstockError

FEWEST = 10
"""Rows that each split of a sample must have."""


@check("data-sample", "task")
def data_sample(subject: Subject) -> None:
    """The task brings a sample: three splits, the same every time, without an input that two of them share.

    ``headstock run TASK`` alone trains on it, and all other checks use it. Generate it by code of your own, or take
    what a dependency ships; it needs no network. An input in two splits would make the test figure a lie.
    """
    sample = subject.sample
    expect(set(sample) == {"train", "validation", "test"}, "the splits train, validation and test", str(sorted(sample)))
    few = [name for name, rows in sample.items() if len(rows) < FEWEST]
    expect(not few, f"at least {FEWEST} rows a split", f"fewer in {', '.join(few)}")
    keys = {name: [_key(subject.columns, row) for row in rows] for name, rows in sample.items()}
    again = {name: [_key(subject.columns, row) for row in rows] for name, rows in subject.task().sample().items()}
    expect(keys == again, "the same sample every time", "another one on the second call")
    for name, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = len(set(keys[name]) & set(keys[other]))
        expect(not shared, "no input in two splits", f"{shared} of {other} are in {name} too")


@check("data-columns", "task")
def data_columns(subject: Subject) -> None:
    """The columns that the task declares, or takes of its data, are those that its rows have, the main input first.

    They say what ``headstock show`` tells the user to bring, which columns a file is searched for, and how a file or
    a folder is read.
    """
    columns = subject.columns
    expect(bool(columns) and columns[0].role == "input", "the main input as the first column", shown(columns[:1]))
    names = {column.name for column in columns}
    required = {column.name for column in columns if column.required}
    for split, rows in subject.sample.items():
        for number, row in enumerate(rows, 1):
            unknown, missing = set(row) - names, required - set(row)
            expect(
                not unknown, f"only the declared columns {sorted(names)}", f"{sorted(unknown)} in {split} row {number}"
            )
            expect(not missing, "all required columns", f"{split} row {number} without {sorted(missing)}")


@check("data-own-forms", "task")
def data_own_forms(subject: Subject) -> None:
    """What ``read`` does not know is ``None``, so that tables and folders of all kinds stay open to the task.

    ``read`` is asked first for all data. Names in ``formats`` stand beside the common ones, and endings begin with a
    dot.
    """
    common = {AUTO, FOLDER, *SUFFIXES}
    for name, endings in subject.cls.formats.items():
        expect(name not in common, f"a name for data.format other than {sorted(common)}", name)
        wrong = [ending for ending in endings if not ending.startswith(".") or ending != ending.casefold()]
        expect(not wrong, "endings such as .conll", str(wrong))
    folder = subject.new_folder()
    table = folder / "rows.csv"
    table.write_text("a,b\n1,2\n", "utf-8")
    for path in (table, folder):
        found = subject.task().read(Request(path))
        expect(found is None, f"None of read for a {'CSV file' if path == table else 'folder with one'}", shown(found))


@check("data-labels-from-training", "task")
def data_labels_from_training(subject: Subject) -> None:
    """The task learns from training references alone, in ``learn`` and nowhere else.

    Reading a row of the test split must leave no trace, or the task would know labels that training never showed. A
    reference that has something new is a ``DataError`` that names it, when it is encoded.
    """
    unlearnt = subject.task()
    train = [unlearnt.reference(row) for row in subject.sample["train"]]
    test = [unlearnt.reference(row) for row in subject.sample["test"]]
    reduced = [reference for reference in train if reference != test[0]]
    plain, peeking = subject.task(), subject.task()
    for row in (*subject.sample["validation"], *subject.sample["test"]):
        peeking.inputs(row)
        peeking.reference(row)
    for references in filter(None, (reduced, train)):
        alone, with_others = _learnt(plain, references), _learnt(peeking, references)
        expect(
            alone == with_others,
            f"what is learnt from training references alone: {shown(alone)}",
            f"{shown(with_others)} once the other splits were read",
        )
        if references is reduced and isinstance(alone, dict):
            _must_take_or_name(subject, plain, test[0])


def _must_take_or_name(subject: Subject, task: Task, reference: Any) -> None:
    """Encode a reference that the task may not have learnt."""
    backbone = subject.prepared_backbone
    task.bind(backbone)
    example = backbone.preprocess(task.inputs(subject.sample["test"][0]))
    what = f"tensors for {shown(reference)}, or a DataError that names what training data had not"
    try:
        task.encode(reference, example)
    except DataError:
        return
    except Exception as error:
        raise CheckFailure(what, f"{type(error).__name__}: {shown(str(error))}") from error


def _learnt(task: Task, references: list[Any]) -> Any:
    """Return what a task learns, or in words why it cannot."""
    try:
        task.learn(references)
    except DataError as error:
        return f"DataError: {error}"
    return task.state()


@check("data-state", "task")
def data_state(subject: Subject) -> None:
    """What was learnt is complete in ``state()`` as JSON values, and ``restore`` takes it back.

    A run writes it beside the weights; a loaded model has nothing else to know its labels from.
    """
    task, references = subject.task(), [subject.task().reference(row) for row in subject.sample["train"]]
    task.learn(references)
    task.learn_inputs(task.inputs(row) for row in subject.sample["train"])
    state = task.state()
    try:
        written = json.loads(json.dumps(state, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckFailure("a state of JSON values", f"{shown(state)}: {error}") from error
    again = subject.task()
    again.restore(written)
    now = json.loads(json.dumps(again.state()))
    expect(now == written, f"the state {shown(written)} after restore", shown(now))
    own = {name for name in vars(task) if not name.startswith("_")} - {"config"}
    lost = [name for name in own if _plain(getattr(task, name)) and getattr(again, name, None) != getattr(task, name)]
    expect(not lost, "a restored task like the one that learnt", f"another value of {', '.join(sorted(lost))}")


@check("data-bad-examples", "task")
def data_bad_examples(subject: Subject) -> None:
    """A row that cannot be used is a ``BadExampleError`` of one line, never another error and never a guess.

    The engine adds file and row, and ``data.on_bad_example=skip`` leaves such rows out and counts them. For each column
    the check tries no value, ``None``, NaN for a number, an empty text or list, and a value of a senseless type.
    """
    task = subject.task()
    good = dict(subject.sample["train"][0])
    for column in subject.columns:
        if not column.required:
            continue
        for label, row in _bad_rows(good, column):
            _must_refuse(subject, task, column, label, row)


def _bad_rows(good: Row, column: Column) -> list[tuple[str, dict[str, Any]]]:
    without = {name: value for name, value in good.items() if name != column.name}
    rows = [
        ("no value", without),
        ("None", {**good, column.name: None}),
        ("an object", {**good, column.name: object()}),
    ]
    value = good[column.name]
    empty = type(value)() if isinstance(value, str | list | bytes) else None
    if isinstance(value, float):
        rows.append(("NaN", {**good, column.name: float("nan")}))
    if column.role == "input" and empty is not None:
        rows.append(("an empty value", {**good, column.name: empty}))
    return rows


def _must_refuse(subject: Subject, task: Task, column: Column, label: str, row: Mapping[str, Any]) -> None:
    what = f"a BadExampleError for {label} in column '{column.name}'"
    try:
        if column.role == "target":
            task.reference(row)
        else:
            inputs = task.inputs(row)
            subject.prepared_backbone.preprocess(inputs)
    except BadExampleError as error:
        expect(bool(str(error)) and "\n" not in str(error), f"{what}, of one line", shown(str(error)))
    except Exception as error:
        raise CheckFailure(what, f"{type(error).__name__}: {shown(str(error))}") from error
    else:
        raise CheckFailure(what, "none")


@check("data-bad-rows-are-named", "task")
def data_bad_rows_are_named(subject: Subject) -> None:
    """In a run, a bad row is an error that names it, or with ``skip`` is left out and counted."""
    sample = {name: list(rows) for name, rows in subject.sample.items()}
    main = subject.columns[0].name
    sample["train"].insert(3, {**sample["train"][0], main: None})
    try:
        subject.prepared_from(sample)
    except BadExampleError as error:
        expect("row 4:" in str(error), "an error that names row 4", shown(str(error)))
    except HeadstockError as error:
        raise CheckFailure("a BadExampleError that names the row", f"{type(error).__name__}: {error}") from error
    else:
        raise CheckFailure("an error for a row without input", "none")
    skipped = subject.prepared_from(sample, "data.on_bad_example=skip").skipped["train"]
    expect(len(skipped) == 1, "one skipped row", f"{len(skipped)}")


@check("data-metrics", "task")
def data_metrics(subject: Subject) -> None:
    """``score`` returns a finite figure for each declared metric, and nothing else.

    The first metric chooses the best checkpoint, so that its ``better`` must be true. What ``baseline`` predicts, if
    anything, is scored like any prediction.
    """
    built = subject.build()
    test = built.splits["test"]
    predictions = subject.predictions(built, "test")
    names = [metric.name for metric in subject.cls.metrics]
    expect(bool(names), "at least one metric", "none")
    _check_figures(built.module.task, predictions, test.split.references)
    task, train = built.module.task, built.splits["train"].split
    alone = task.baseline(train.references, test.split.inputs(task))
    if alone is not None:
        expect(len(alone) == len(test), f"a baseline of {len(test)} predictions", str(len(alone)))
        _check_figures(task, alone, test.split.references)


def _check_figures(task: Task, predictions: Sequence[Any], references: Sequence[Any]) -> None:
    names = [metric.name for metric in task.metrics]
    figures = task.score(predictions, references)
    expect(sorted(figures) == sorted(names), f"the declared metrics {sorted(names)}", str(sorted(figures)))
    odd = [name for name, value in figures.items() if not isinstance(value, float) or not np.isfinite(value)]
    expect(not odd, "finite floats", ", ".join(f"{name}={figures[name]!r}" for name in odd))


def _key(columns: Sequence[Column], row: Row) -> str:
    """Return a text that tells an input from others."""
    inputs = [column for column in columns if column.role == "input"]
    return "".join(content_digest(row.get(column.name), column.content == "file").hex() for column in inputs)


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple | dict | type(None))


CHECKS = (
    data_sample,
    data_columns,
    data_own_forms,
    data_labels_from_training,
    data_state,
    data_bad_examples,
    data_bad_rows_are_named,
    data_metrics,
)
