"""Errors that components raise about the data they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headstock_registry import HeadstockError


class DataError(HeadstockError):
    """Data that cannot be used as it is: a missing file or column, an unknown label, an empty split."""


class BadExampleError(DataError):
    """One example that cannot be used. The message says what is wrong; the engine adds file and row.

    With ``data.on_bad_example: skip`` such examples are counted and reported instead.
    """


class BadPartsError(BadExampleError):
    """Parts of an example's reference that cannot be used (a box, say), while the others can.

    Raised by :meth:`headstock.Task.reference`. With ``data.on_bad_example: skip`` the parts are left out and counted,
    and the example is used with what is left.

    Args:
        problems: For each part what is wrong with it, and which one it is.
        what: How to count them, in the plural, as for :func:`headstock.note`: ``boxes left out``.
        rest: The reference without them.
    """

    def __init__(self, problems: Sequence[str], what: str, rest: Any) -> None:
        more = f" (and {len(problems) - 1} more in this example)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems, self.what, self.rest = tuple(problems), what, rest
