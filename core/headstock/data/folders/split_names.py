"""Names by which folders and files are known as a split: train, training_set, val_images, reviews-test …"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from headstock.data.config import SplitName

ALIASES: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "devel", "development", "eval", "evaluation"),
    "test": ("test", "testing"),
}
"""Words under which a split is known."""

NOUNS = (
    r"(?:data|dataset|sets?|splits?|images?|imgs?|pictures?|photos?|audios?|wavs?|sounds?|clips?|recordings?|texts?|"
    r"files?|samples?|examples?|rows?|folder|labels?|annotations?|instances)"
)
"""Words that may stand beside a split's name without changing what it means."""

_SPLIT_OF = {word: split for split, words in ALIASES.items() for word in words}
_WORD = "|".join(sorted(_SPLIT_OF, key=len, reverse=True))
_WHOLE = re.compile(rf"{NOUNS}{{0,2}}({_WORD}){NOUNS}{{0,2}}\d*")
_FILLER = re.compile(rf"{NOUNS}|v?\d+")
_SHARD = re.compile(r"[-_.](\d+)[-_]of[-_](\d+)(?:[-_][0-9a-f]+)?$", re.IGNORECASE)


def split_of(name: str) -> SplitName | None:
    """Return the split that a name stands for, or ``None``: ``Training_Set`` is train, ``val_images`` validation.

    Case and separators do not count, and neither do a number at the end (``test1``, ``train2017``) and words such as
    set, data and images. For a file that is its name without the ending.
    """
    found = _WHOLE.fullmatch(re.sub(r"[\W_]+", "", name.casefold()))
    return None if found is None else _SPLIT_OF[found[1]]


def plainest(names: Sequence[str]) -> list[str]:
    """Return of names that stand for one split the one that is just its word, if one is: ``test``, not ``test_labels``.

    Where none or several are, all are returned.
    """
    plain = [name for name in names if name.casefold() in _SPLIT_OF]
    return plain if len(plain) == 1 else list(names)


def split_in(stem: str) -> SplitName | None:
    """Return the split that a file's name begins or ends with, or ``None``: ``reviews-test`` is test."""
    words = [word for word in re.split(r"[\W_]+", stem.casefold()) if word]
    while words and _FILLER.fullmatch(words[0]):
        words = words[1:]
    while words and _FILLER.fullmatch(words[-1]):
        words = words[:-1]
    found = {split for split in map(split_of, {*words[:1], *words[-1:]}) if split is not None}
    return found.pop() if len(found) == 1 else None


def shard_of(stem: str) -> tuple[str, int, int] | None:
    """Return of a shard's name what is common to all shards, the shard's number and how many there are.

    ``train-00000-of-00002`` is ``("train", 0, 2)``; ``None`` for a name that is not a shard's.
    """
    found = _SHARD.search(stem)
    return None if found is None else (stem[: found.start()], int(found[1]), int(found[2]))
