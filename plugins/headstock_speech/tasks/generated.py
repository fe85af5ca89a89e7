"""Transcripts that the backbone's own decoder writes, token by token: teacher forcing in training, then its search."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstock import Backbone, Batch, Example, Features, Loss, UntrainableError, note
from headstock_speech.generation import TranscriptGenerator

IGNORED = -100
"""Padding of target tokens."""


class Generated:
    """Writes with the decoder and the tokens of a backbone; nothing else is trained.

    Args:
        generator: The backbone.
        parts_words: Whether spaces part words, also those of two windows of a recording.
    """

    def __init__(self, generator: TranscriptGenerator, parts_words: bool) -> None:
        self._generator, self._between = generator, " " if parts_words else ""

    def encode(self, reference: str, example: Example) -> dict[str, Tensor]:
        """Return ``tokens`` (L,), the end mark last.

        Raises:
            UntrainableError: the recording is longer than the model hears at once, so that nobody knows which words
                are in which window.
        """
        if len(example["windows"]) > 1:
            raise UntrainableError(
                "the recording is longer than the model hears at once (backbone.window_seconds)",
                "recordings longer than the model hears at once, transcribed in pieces and scored without a loss",
            )
        ids, longest = self._generator.target_ids(reference), self._generator.max_target_tokens
        note(f"transcripts cut to {longest} tokens", int(len(ids) > longest))
        return {"tokens": torch.tensor([*ids[:-1][: longest - 1], ids[-1]])}

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return a module that calls the decoder."""
        del backbone
        return BackboneDecoder(self._generator)

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return ``losses`` (B, L) of tokens where there are targets, and in evaluation ``generated`` (B, N, M)."""
        outputs = {}
        if batch.targets:
            target = batch.targets["tokens"]
            logits = head(target, features).float().transpose(1, 2)
            outputs["losses"] = F.cross_entropy(logits, target, ignore_index=IGNORED, reduction="none")
        if not head.training:
            outputs["generated"] = self._generator.generate(features, batch.inputs)
        return outputs

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return cross-entropy summed over target tokens, and their number."""
        return Loss(outputs["losses"].sum(), (batch.targets["tokens"] != IGNORED).sum().float())

    def decode(self, outputs: dict[str, Tensor]) -> list[str]:
        """Return each example's transcript, that of its windows one after the other."""
        windows = [[self._generator.target_text(ids) for ids in row] for row in outputs["generated"].tolist()]
        return [self._between.join(text for text in texts if text) for texts in windows]


class BackboneDecoder(nn.Module):
    """Calls the decoder of the backbone. Its parameters are the backbone's, and not named twice."""

    def __init__(self, generator: TranscriptGenerator) -> None:
        super().__init__()
        self._generator = (generator,)  # in a tuple, so that torch does not take it for a part of this module

    def forward(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V)."""
        return self._generator[0].teacher_forcing(targets, features)
