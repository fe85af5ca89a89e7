"""Checks of what a task says about the shape of data: which columns it has, and which rows belong together."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

from headstock.error_text import shown
from headstock.interfaces import BadExampleError, Task
from headstock.interfaces.task import Row
from headstock.testing.check import CheckFailure, NotApplicable, check, expect
from headstock.testing.checks.compare import difference
from headstock.testing.subject import Subject


@check("data-columns-for", "task")
def data_columns_for(subject: Subject) -> None:
    """``columns_for`` makes columns of those that the data has, and a model that is loaded reads them like before.

    It is asked once, of training data. The columns are then ``data_columns`` of the task, also of one that is loaded:
    ``inputs`` looks them up there, and not in what ``columns_for`` has left in the task, for that is not called again.
    A required column is one that the data has, and those that the task declares as required stay among them.
    """
    if subject.cls.columns_for is Task.columns_for:
        raise NotApplicable("the task declares its columns, whatever the data has")
    available = subject.available
    columns, again = subject.columns, subject.new_task().columns_for(available)
    expect(columns == again, "the same columns for the same data", shown(again))
    names = [column.name for column in columns]
    expect(bool(names) and columns[0].role == "input", "columns, an input first", shown(names))
    expect(len(set(names)) == len(names), "each column once", shown(names))
    missing = [column.name for column in columns if column.required and column.name not in available]
    expect(not missing, f"required columns among {available}", shown(missing))
    lost = [column.name for column in subject.cls.columns if column.required and column.name not in names]
    expect(not lost, "all columns that are declared as required", f"without {lost}")
    task, loaded = subject.new_task(), subject.new_task()
    task.settle(task.columns_for(available))
    rows = subject.sample["train"]
    task.learn([task.reference(row) for row in rows])
    task.learn_inputs(task.inputs(row) for row in rows)
    loaded.settle(columns)
    loaded.restore(json.loads(json.dumps(task.state())))
    for row in rows[:10]:
        _same_inputs(loaded, row, task.inputs(row))


def _same_inputs(loaded: Task, row: Row, inputs: Any) -> None:
    what = "the same inputs of a task that was loaded"
    try:
        found = difference(loaded.inputs(row), inputs)
    except Exception as error:
        raise CheckFailure(what, f"{type(error).__name__}: {shown(str(error))}") from error
    expect(not found, what, str(found))


@check("data-groups", "task")
def data_groups(subject: Subject) -> None:
    """``group`` gives the same row the same group every time, and no two splits of the sample share one.

    Splits are cut by it before the task has learnt anything, and rows are read more than once. A group is hashable; a
    row that lacks what it is read from is of no group (``None``) or a ``BadExampleError``.
    """
    expect(subject.cls.cut in ("random", "ordered"), "random or ordered for cut", shown(subject.cls.cut))
    groups: dict[str, set[Hashable]] = {}
    for split, rows in subject.sample.items():
        task, again = subject.task(), subject.task()
        first = [_group(task, row) for row in rows]
        second = [_group(again, row) for row in reversed(rows)][::-1]
        other = [number for number, pair in enumerate(zip(first, second, strict=True), 1) if pair[0] != pair[1]]
        expect(not other, "the same group for the same row every time", f"another one for {split} row {other[:1]}")
        groups[split] = set(first) - {None}
    for split, other_split in (("train", "validation"), ("train", "test"), ("validation", "test")):
        shared = len(groups[split] & groups[other_split])
        expect(not shared, "no group in two splits of the sample", f"{shared} of {other_split} are in {split} too")
    row = dict(subject.sample["train"][0])
    for name in row:
        _group(subject.task(), {**row, name: None})
        _group(subject.task(), {key: value for key, value in row.items() if key != name})


def _group(task: Task, row: Row) -> Any:
    try:
        group = task.group(dict(row))
        hash(group)
    except BadExampleError:
        return None
    except Exception as error:
        came = f"{type(error).__name__}: {shown(str(error))} for {shown(dict(row))}"
        raise CheckFailure("a group that is hashable, None, or a BadExampleError", came) from error
    return group


CHECKS = (data_columns_for, data_groups)
