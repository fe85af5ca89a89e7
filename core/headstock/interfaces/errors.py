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


class NoTargetError(BadExampleError):
    """A reference that is right, yet the model cannot be trained on it; raised by :meth:`headstock.Task.encode`.

    It has a label or letter that training data had not, or is longer than what the model can say. A training example
    with such a reference is a bad one. In other splits it is scored like any other, and counts as wrong; only the loss
    goes without it.

    Args:
        message: What is the matter with this reference.
        what: What is counted and what becomes of it, in the plural, one wording for all of a kind.
    """

    def __init__(self, message: str, what: str = "labels that training data has not, scored as wrong") -> None:
        super().__init__(message)
        self.what = what


class UntrainableError(NoTargetError):
    """A reference that no training could be done with, whatever training data there is; it is nobody's mistake.

    The recording or text is longer than what the model takes at once, say. A training example with such a reference is
    left out and counted, without asking ``data.on_bad_example``. In other splits it is as with :class:`NoTargetError`,
    but the prediction may well be right.
    """
