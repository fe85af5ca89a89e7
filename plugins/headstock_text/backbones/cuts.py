"""Counts what of a text does not fit into a backbone."""

from __future__ import annotations

from headstock import note


def note_cut(cut: bool, max_length: int, example: int | None = None) -> None:
    """Count an example of which the end was left out, if it was.

    Args:
        cut: Whether it was.
        max_length: Tokens kept of an example.
        example: Index of the example, where several are preprocessed at once.
    """
    note(f"texts cut to {max_length} tokens (backbone.max_length)", int(cut), example=example)


def note_lost_words(lost: int, max_length: int) -> None:
    """Count words that were left out because those before them fill the backbone."""
    note(f"words beyond {max_length} tokens left out, with their tags (backbone.max_length)", lost)
