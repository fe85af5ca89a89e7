"""Checks of what a task says about the shape of data: which rows belong together."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from headstock.error_text import shown
from headstock.interfaces import BadExampleError, Task
from headstock.interfaces.task import Row
from headstock.testing.check import CheckFailure, check, expect
from headstock.testing.subject import Subject


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


CHECKS = (data_groups,)
