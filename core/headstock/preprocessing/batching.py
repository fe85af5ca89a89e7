"""Runs a backbone's preprocessing over many inputs: in batches, beside the thread that reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, NamedTuple

from headstock.attribution import note_rows
from headstock.data.tables.chunks import chunks
from headstock.interfaces import Backbone, BadExampleError, Example
from headstock.interfaces.notes import noting, noting_examples

BATCH = 512
"""Inputs of a batch, at most."""
BATCH_CHARACTERS = 2**20
"""Characters of all texts of a batch, about."""


class Preprocessed(NamedTuple):
    """A preprocessed input.

    Attributes:
        example: Its tensors.
        cost: What it costs of a batch's budget.
        notes: What was cut, dropped or changed.
    """

    example: Example
    cost: int
    notes: Mapping[str, int]


Result = Preprocessed | BadExampleError
"""What became of an input, or why it cannot be used."""

Inputs = Sequence[Mapping[str, Any]]


def preprocessed(
    backbone: Backbone, inputs: Iterable[Mapping[str, Any]], where: Callable[[int], str]
) -> Iterator[list[Result]]:
    """Yield the results for inputs, batch by batch, in order.

    Where the backbone works on batches, a second thread preprocesses the next one meanwhile: tokenizers let go of
    Python's lock.

    Args:
        backbone: Preprocesses.
        inputs: What its ``preprocess`` takes.
        where: Names an input by its index, for an error.
    """
    start = 0
    if not _works_on_batches(backbone):
        for batch in chunks(inputs, BATCH, BATCH_CHARACTERS):
            yield [_one(backbone, each, start + index, where) for index, each in enumerate(batch)]
            start += len(batch)
        return
    with ThreadPoolExecutor(1, "preprocess") as executor:
        running: Future[list[Result]] | None = None
        try:
            for batch in chunks(inputs, BATCH, BATCH_CHARACTERS):
                following = executor.submit(copy_context().run, _together, backbone, batch, start, where)
                start += len(batch)
                if running is not None:
                    yield running.result()
                running = following
            if running is not None:
                yield running.result()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _works_on_batches(backbone: Backbone) -> bool:
    return type(backbone).preprocess_many is not Backbone.preprocess_many


def _together(backbone: Backbone, batch: Inputs, start: int, where: Callable[[int], str]) -> list[Result]:
    try:
        with noting_examples(len(batch)) as notes:
            examples = backbone.preprocess_many(batch)
        return [
            Preprocessed(example, backbone.cost(example), found) for example, found in zip(examples, notes, strict=True)
        ]
    except Exception:  # one by one it shows which input it is, and the others are used
        return [_one(backbone, each, start + index, where) for index, each in enumerate(batch)]


def _one(backbone: Backbone, inputs: Mapping[str, Any], index: int, where: Callable[[int], str]) -> Result:
    try:
        with noting() as found:
            example = backbone.preprocess(inputs)
        return Preprocessed(example, backbone.cost(example), found)
    except BadExampleError as error:
        return error
    except Exception as error:
        note_rows(error, [where(index)])
        raise
