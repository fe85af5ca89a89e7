"""Transcripts by connectionist temporal classification: one character or nothing a frame of any encoder."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstock import Backbone, Batch, DataError, Example, Features, Loss, NoTargetError
from headstock.kits import categorical_divergence
from headstock_speech.tasks.transcripts import BLANK, Alphabet, shortened

IGNORED = -100
"""Padding of target characters."""


class Ctc:
    """Spells with an alphabet of its own.

    Source: A. Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent
    Neural Networks", ICML 2006. Decoding takes the best path.

    Args:
        alphabet: The characters of the training transcripts.
        dropout: Dropout before the output layer.
    """

    def __init__(self, alphabet: Alphabet, dropout: float) -> None:
        self.alphabet, self._dropout = alphabet, dropout

    def encode(self, reference: str, example: Example) -> dict[str, Tensor]:
        """Return ``characters`` (S,), the ids of the transcript's characters.

        Raises:
            NoTargetError: the recording has fewer frames than the characters need, each one frame and one more
                between two that are the same; or the transcript is empty, or has a character that no training
                transcript has.
            DataError: the backbone does not tell its frames.
        """
        if "frames" not in example:
            raise DataError("this backbone's examples do not tell their number of 'frames', which this task needs")
        if not reference:
            raise NoTargetError(
                "the transcript is empty", "recordings with an empty transcript, where all that is recognized is wrong"
            )
        ids = self.alphabet.encode(reference)
        needed = len(ids) + sum(first == second for first, second in pairwise(ids))
        frames = int(example["frames"])
        if frames < needed:
            raise NoTargetError(
                f"the recording is too short for '{shortened(reference)}': {frames} frames, {needed} are needed",
                "recordings too short for their transcript, scored as wrong",
            )
        return {"characters": torch.tensor(ids)}

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return dropout and a linear layer with an output for each character and the blank."""
        return nn.Sequential(nn.Dropout(self._dropout), nn.Linear(backbone.feature_dim, len(self.alphabet) + 1))

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return ``logits`` (B, T, characters + 1) and the real ``lengths`` (B,) of their sequences."""
        del batch
        return {"logits": head(features.sequence), "lengths": features.mask.sum(dim=1)}

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return for each example the negative log-likelihood by character of its transcript, summed."""
        targets = batch.targets["characters"]
        sizes = (targets != IGNORED).sum(dim=1)
        each = F.ctc_loss(
            outputs["logits"].float().log_softmax(dim=2).transpose(0, 1),
            targets.clamp(min=BLANK),
            outputs["lengths"],
            sizes,
            blank=BLANK,
            reduction="none",
        )
        return Loss((each / sizes).sum(), each.new_full((), float(len(targets))))

    def divergence(self, outputs: dict[str, Tensor], reference: dict[str, Tensor]) -> Loss:
        """Return the mean over frames of the Kullback-Leibler divergence of the characters, summed over recordings."""
        logits, lengths = outputs["logits"], outputs["lengths"].clamp(min=1)
        real = torch.arange(logits.shape[1], device=logits.device) < lengths.unsqueeze(1)
        found = categorical_divergence(logits, reference["logits"], real / lengths.unsqueeze(1))
        return Loss(found.total, found.total.new_full((), float(len(logits))))

    def decode(self, outputs: dict[str, Tensor]) -> list[str]:
        """Return each example's transcript."""
        paths, lengths = outputs["logits"].argmax(dim=2).tolist(), outputs["lengths"].tolist()
        return [self.alphabet.decode(path[:length]) for path, length in zip(paths, lengths, strict=True)]
