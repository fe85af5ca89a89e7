"""Whether Python code that comes with pretrained weights may run: the caller of one command says so, nobody else.

No recipe, run, cache or file of the Hub can consent; a key of the name in any of them is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from headstock_registry import HeadstockError

OPTION = "trust_remote_code"
"""The name that transformers gives to this consent."""
ADVICE = "if you trust it, let it run with --trust-remote-code (trust_remote_code=True in Python)"
"""How to consent, at the end of an error."""

_TRUSTED: ContextVar[bool] = ContextVar("headstock_trust_remote_code", default=False)


def trusts_remote_code() -> bool:
    """Return whether the caller lets Python code run that lies beside pretrained weights or on the Hub.

    A backbone that loads such code asks this, never an option of its own. It holds for the thread that
    :func:`headstock.run` or :func:`headstock.load` was called in; threads that this one starts do not inherit it.
    """
    return _TRUSTED.get()


@contextmanager
def trusting_remote_code(given: bool) -> Iterator[None]:
    """Let code that comes with weights run, or not, until the end of the block; for this thread alone."""
    token = _TRUSTED.set(given)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def without_consent(options: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return a component's options, of which none may consent to code.

    Runs of earlier versions hold the option; where it says false it is left out, since that is what holds anyway.

    Raises:
        HeadstockError: the option is there, at any depth, and does not say false.
    """
    place = _place(options, section)
    if place is not None:
        raise HeadstockError(
            f"'{place}' is not for recipes and runs: only who starts a command can let code that comes with weights "
            f"run; {ADVICE}"
        )
    return {key: value for key, value in options.items() if key != OPTION}


def _place(value: Any, place: str) -> str | None:
    """Return where the option is with another value than false."""
    if isinstance(value, Mapping):
        parts = [(f"{place}.{key}", part, key == OPTION) for key, part in value.items()]
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        parts = [(f"{place}[{number}]", part, False) for number, part in enumerate(value)]
    else:
        return None
    for inner, part, is_option in parts:
        if is_option and part is not False and str(part).casefold() != "false":
            return inner
        found = _place(part, inner)
        if found is not None:
            return found
    return None
