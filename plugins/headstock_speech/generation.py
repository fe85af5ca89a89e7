"""What a backbone does that writes transcripts by itself, token by token."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from headstock import Features


@runtime_checkable
class TranscriptGenerator(Protocol):
    """Something that writes what was said from encoded recordings, in a vocabulary of its own.

    Attributes:
        language: Code of the language that is spoken (``en``); ``None`` where nothing is known of it.
        written_language: Code of the language that transcripts are in, which is another one in translation.
        max_target_tokens: Tokens of a transcript at most, for one window, the end mark with them.
    """

    language: str | None
    written_language: str | None
    max_target_tokens: int

    def settle_language(self, known: str | None) -> None:
        """Choose the language: the option, else the ``known`` one, else what the training recordings sound like.

        It is called before anything is encoded. A model without a choice does nothing.
        """

    def target_ids(self, text: str) -> list[int]:
        """Return the token ids of a transcript, the end mark last."""

    def target_text(self, ids: list[int]) -> str:
        """Return the text of token ids; marks and padding are left out."""

    def teacher_forcing(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V) of each next token, given the true ones before it; ``targets`` (B, L) has -100s.

        Each example is one window.
        """

    def generate(self, features: Features, inputs: dict[str, Tensor]) -> Tensor:
        """Return the token ids (B, N, L) found for each of an example's windows, padded; ``inputs`` are the batch's."""
