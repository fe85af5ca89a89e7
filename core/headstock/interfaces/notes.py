"""What is cut, dropped or changed while data is read and preprocessed, counted by the code that does it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_found: ContextVar[Counter[str] | None] = ContextVar("found", default=None)
_by_example: ContextVar[defaultdict[int, Counter[str]] | None] = ContextVar("by_example", default=None)


def note(what: str, count: int = 1, *, example: int | None = None) -> None:
    """Count something that the data loses or that is guessed of it, for the console, ``results.json`` and model card.

    Call it where that happens: in :meth:`headstock.Task.read`, ``inputs``, ``reference`` or ``encode``, in
    :meth:`headstock.Backbone.preprocess`, in :meth:`headstock.Adapter.attach`, or in anything that these call in the
    same thread. What is said of an example is kept with it in the example cache, and forgotten if the example turns
    out to be unusable.

    Args:
        what: What happened to which things, in the plural: ``texts cut to 256 tokens (backbone.max_length)``. One kind
            has one wording, for kinds are told apart by it; so it names no file or row.
        count: How many things of one example (boxes, words), or of the data where it is not yet read by example.
        example: Index of the example among those that :meth:`headstock.Backbone.preprocess_many` was given.
    """
    found, examples = _found.get(), _by_example.get()
    if example is not None and examples is not None:
        found = examples[example]
    if found is not None and count > 0:
        found[what] += count


@contextmanager
def noting() -> Iterator[Counter[str]]:
    """Yield a counter of all that is noted while this is active. An inner one takes what an outer one then misses."""
    found: Counter[str] = Counter()
    token = _found.set(found)
    try:
        yield found
    finally:
        _found.reset(token)


@contextmanager
def noting_examples() -> Iterator[Mapping[int, Counter[str]]]:
    """Yield what is noted of each of several examples while this is active, by index; one without notes is left out."""
    examples: defaultdict[int, Counter[str]] = defaultdict(Counter)
    token = _by_example.set(examples)
    try:
        yield examples
    finally:
        _by_example.reset(token)
