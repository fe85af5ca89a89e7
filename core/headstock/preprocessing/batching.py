"""Runs a backbone's preprocessing over many inputs: in batches, beside the thread that reads and writes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any

import torch

from headstock.attribution import note_rows
from headstock.data.tables.chunks import chunks
from headstock.interfaces import Backbone, BadExampleError, Example
from headstock.interfaces.notes import noting, noting_examples

BATCH = 256
"""Inputs of a batch, at most."""
BATCH_CHARACTERS = 2**20
"""Characters of all texts of a batch, about."""
AHEAD = 1
"""Batches that are under way while one is taken from the threads that preprocess."""


@dataclass(frozen=True)
class PreprocessedBatch:
    """What became of the inputs of a batch.

    Attributes:
        size: How many inputs there were.
        examples: The examples of those that could be used, in order.
        costs: What each example costs of a batch's budget.
        notes: What was cut, dropped or changed, by index of the example; one without notes is left out.
        failed: Why an input could not be used, by its index in the batch.
    """

    size: int
    examples: Sequence[Example]
    costs: Sequence[int]
    notes: Mapping[int, Mapping[str, int]]
    failed: Mapping[int, str]


Inputs = Sequence[Mapping[str, Any]]
_Result = tuple[Example, int, Mapping[str, int]] | str
"""An example, its cost and what was noted of it; or why there is none."""


def preprocessed(
    backbone: Backbone, inputs: Iterable[Mapping[str, Any]], where: Callable[[int], str]
) -> Iterator[PreprocessedBatch]:
    """Yield the results for inputs, batch by batch, in order.

    Where the backbone works on batches, a second thread preprocesses the next one meanwhile: tokenizers let go of
    Python's lock. Where several threads may preprocess at once, as many do as torch computes with.

    Args:
        backbone: Preprocesses.
        inputs: What its ``preprocess`` takes.
        where: Names an input by its index, for an error.
    """
    batches = _numbered(chunks(inputs, BATCH, BATCH_CHARACTERS))
    works_on_batches = type(backbone).preprocess_many is not Backbone.preprocess_many
    if not works_on_batches and not backbone.thread_safe:
        for start, batch in batches:
            yield _gathered(_one(backbone, each, start + index, where) for index, each in enumerate(batch))
        return
    with ThreadPoolExecutor(1 if works_on_batches else torch.get_num_threads(), "preprocess") as executor:
        submit = _submit_batch if works_on_batches else _submit_inputs
        running: deque[Callable[[], PreprocessedBatch]] = deque()
        try:
            for start, batch in batches:
                running.append(submit(executor, backbone, batch, start, where))
                if len(running) > AHEAD:
                    yield running.popleft()()
            while running:
                yield running.popleft()()
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


def _numbered(batches: Iterable[Inputs]) -> Iterator[tuple[int, Inputs]]:
    """Yield the batches, each with the index of its first input."""
    start = 0
    for batch in batches:
        yield start, batch
        start += len(batch)


def _submit_batch(
    executor: Executor, backbone: Backbone, batch: Inputs, start: int, where: Callable[[int], str]
) -> Callable[[], PreprocessedBatch]:
    return executor.submit(copy_context().run, _together, backbone, batch, start, where).result


def _submit_inputs(
    executor: Executor, backbone: Backbone, batch: Inputs, start: int, where: Callable[[int], str]
) -> Callable[[], PreprocessedBatch]:
    futures = [
        executor.submit(copy_context().run, _one, backbone, each, start + index, where)
        for index, each in enumerate(batch)
    ]
    return lambda: _gathered(future.result() for future in futures)


def _together(backbone: Backbone, batch: Inputs, start: int, where: Callable[[int], str]) -> PreprocessedBatch:
    try:
        with noting_examples() as notes:
            examples = backbone.preprocess_many(batch)
        return PreprocessedBatch(len(batch), examples, list(map(backbone.cost, examples)), notes, {})
    except Exception:  # one by one it shows which input it is, and the others are used
        return _gathered(_one(backbone, each, start + index, where) for index, each in enumerate(batch))


def _one(backbone: Backbone, inputs: Mapping[str, Any], index: int, where: Callable[[int], str]) -> _Result:
    try:
        with noting() as found:
            example = backbone.preprocess(inputs)
        return example, backbone.cost(example), found
    except BadExampleError as error:
        return str(error)
    except Exception as error:
        note_rows(error, [where(index)])
        raise


def _gathered(results: Iterable[_Result]) -> PreprocessedBatch:
    examples: list[Example] = []
    costs: list[int] = []
    notes: dict[int, Mapping[str, int]] = {}
    failed: dict[int, str] = {}
    size = 0
    for size, result in enumerate(results, 1):
        if isinstance(result, str):
            failed[size - 1] = result
            continue
        example, cost, found = result
        if found:
            notes[len(examples)] = found
        examples.append(example)
        costs.append(cost)
    return PreprocessedBatch(size, examples, costs, notes, failed)
