"""Which training methods go together, and with which options of the trainer."""

from __future__ import annotations

from itertools import pairwise

from headstock.interfaces import Method
from headstock.recipe.resolve import Part, ResolvedRecipe
from headstock_registry import HeadstockError


def check_methods(resolved: ResolvedRecipe) -> None:
    """Raise where methods would undo each other, or an option of the trainer would make their numbers wrong.

    Raises:
        HeadstockError: says which two do not go together.
    """
    methods, trainer = resolved.methods, resolved.trainer
    averaging = [part for part in methods if part.cls.exchange is not Method.exchange]
    moving = [part for part in methods if part.cls.moves_weights]
    for first, second in (*pairwise(averaging), *pairwise(moving)):
        raise _not_together(first, f"method {second.name}")
    for first in moving:
        for second in methods:
            if second.cls.runs_encoder:
                raise _not_together(first, f"method {second.name}")
    if trainer.gradient_checkpointing and moving:
        raise _not_together(moving[0], "trainer.gradient_checkpointing")
    whole = [part for part in methods if part.cls.runs_encoder or part.cls.whole_weights]
    if trainer.fsdp and whole:
        raise _not_together(whole[0], "trainer.fsdp")


def _not_together(part: Part[Method], other: str) -> HeadstockError:
    return HeadstockError(f"method {part.name} does not go together with {other}; leave one of them out")
