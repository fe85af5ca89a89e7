"""Records in the order of the cells, though the cells end in any order."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from headstock import explain_write_errors
from headstock_bench.records import Record, Results


class InOrder:
    """Appends records to the results in the order of their positions.

    One that comes before its turn is on disk at once too, in ``early.jsonl`` beside the results. At the end, whatever
    ended it, those that are left are appended, and the file goes. Where a benchmark was killed, the next one takes over
    what it left there. To be used while the folder of results is locked.
    """

    def __init__(self, results: Results) -> None:
        self._results = results
        self._path = results.path.with_name("early.jsonl")
        self._early = Results(self._path)
        self._held: dict[int, Record] = {}
        self._next = 0

    def add(self, position: int, record: Record) -> None:
        """Record what is at a position; it is on disk when this returns."""
        if position != self._next:
            self._early.append(record)
            self._held[position] = record
            return
        self._results.append(record)
        self._next += 1
        while self._next in self._held:
            self._results.append(self._held.pop(self._next))
            self._next += 1

    def _take_over(self) -> None:
        recorded = {record.key: record.model_dump_json() for record in self._results.latest}
        for record in self._early.latest:
            if recorded.get(record.key) != record.model_dump_json():
                self._results.append(record)
        self._remove()

    def _remove(self) -> None:
        with explain_write_errors(self._path):
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self._take_over()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for position in sorted(self._held):
            self._results.append(self._held.pop(position))
        self._remove()
