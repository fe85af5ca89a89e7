"""wav2vec 2.0 and its kin: models of transformers that take the waveform itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headstock.kits.pretrained import quiet
from headstock_speech.backbones.base import within
from headstock_speech.backbones.family import Family

MODEL_TYPES = ("data2vec-audio", "hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm")
"""Model types of transformers that belong to the family."""

MASKING_TYPES = ("hubert", "unispeech", "unispeech-sat", "wav2vec2", "wavlm")
"""Those whose attention mask keeps padding out of everything behind the convolutions on the waveform."""


class MaskedGroupNorm(nn.GroupNorm):
    """Group normalisation with one channel a group, whose statistics are those of each example's own frames.

    Models with ``feat_extract_norm: group`` normalise over the whole length right after the first convolution, so
    that padding would change every frame. Set :attr:`frames` (B,) before the model is called.
    """

    frames: Tensor | None = None

    def forward(self, states: Tensor) -> Tensor:
        """Return states (B, C, T), each channel at mean 0 and variance 1 over the real frames, scaled and shifted."""
        if self.frames is None:
            return super().forward(states)
        with torch.autocast(states.device.type, enabled=False):
            values = states.float()
            mask = within(self.frames, values.shape[2]).unsqueeze(1)
            count = self.frames.view(-1, 1, 1)
            centred = values - (values * mask).sum(dim=2, keepdim=True) / count
            variance = (centred.square() * mask).sum(dim=2, keepdim=True) / count
            normed = centred * (variance + self.eps).rsqrt()
            scaled = normed * self.weight.float().unsqueeze(1) + self.bias.float().unsqueeze(1)
        return scaled.to(states.dtype)


class WaveformFamily(Family):
    """Models that take a waveform: wav2vec 2.0, HuBERT, WavLM, UniSpeech, data2vec.

    Each clip is brought to mean 0 and variance 1 if the model's feature extractor says so. Padding is kept out of
    every example: by attention mask and masked statistics where the model allows it, else (data2vec, models with an
    adapter of convolutions or batch normalisation of positions) by running clips of equal length together.

    The models' own SpecAugment draws from numpy's global generator, so it is off.
    """

    def __init__(self, body: nn.Module, extractor: Any) -> None:
        super().__init__()
        model: Any = body
        config = model.config
        self.extractor = extractor
        self.sampling_rate = int(extractor.sampling_rate)
        self.normalise = bool(extractor.do_normalize)
        self.convolutions = list(zip(config.conv_kernel, config.conv_stride, strict=True))
        adapter = bool(getattr(config, "add_adapter", False))
        self.adapter_strides = [int(config.adapter_stride)] * config.num_adapter_layers if adapter else []
        self.feature_dim = int(config.output_hidden_size if adapter else config.hidden_size)
        positions_normed = bool(getattr(config, "conv_pos_batch_norm", False))
        self.masks = config.model_type in MASKING_TYPES and not adapter and not positions_normed
        if adapter:
            model.adapter.layerdrop = 0.0  # would draw from numpy's global generator
        # Makes transformers ask for the gradient of the waveform in training, which only reentrant checkpoints need.
        model.feature_extractor._requires_grad = False
        if isinstance(getattr(model, "masked_spec_embed", None), nn.Parameter):
            # Read by SpecAugment alone, which is off: a parameter that nothing uses would wait for a gradient for ever.
            unused = model.masked_spec_embed.detach()
            del model.masked_spec_embed
            model.register_buffer("masked_spec_embed", unused)
        if getattr(config, "feat_extract_norm", "layer") == "group":
            first = model.feature_extractor.conv_layers[0]
            first.layer_norm = _masked(first.layer_norm)

    def frames(self, samples: int) -> int:
        """Return the number of vectors, with most models one every 20 ms."""
        for kernel, stride in self.convolutions:
            samples = (samples - kernel) // stride + 1
        for stride in self.adapter_strides:
            samples = (samples - 1) // stride + 1
        return samples

    def framing(self) -> Mapping[str, Any]:
        """Return kernels and strides."""
        return {"convolutions": [list(pair) for pair in self.convolutions], "adapter": self.adapter_strides}

    def embed(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the waveform (B, S), each clip at mean 0 and variance 1 if the model wants that."""
        if not self.normalise:
            return waveform
        mask = within(lengths, waveform.shape[1])
        count = lengths.unsqueeze(1)
        centred = (waveform - waveform.sum(dim=1, keepdim=True) / count) * mask
        variance = centred.square().sum(dim=1, keepdim=True) / count
        normed: Tensor = centred / (variance + 1e-7).sqrt()
        return normed

    def encode(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Return the last hidden states (B, T, D)."""
        if not self.masks:
            return self._by_length(body, embedded, lengths)
        kernel, stride = self.convolutions[0]
        self._count(body, (lengths - kernel) // stride + 1)
        mask = within(lengths, embedded.shape[1]).long()
        with warnings.catch_warnings():
            # WavLM in transformers hands torch two masks of different types, which torch takes with a warning.
            warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")
            states: Tensor = body(embedded, attention_mask=mask).last_hidden_state
        return states

    def _by_length(self, body: nn.Module, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Run clips of equal length together, without any padding."""
        self._count(body, None)
        return run_by_length(body, embedded, lengths, self.frames(embedded.shape[1]))

    def _count(self, body: nn.Module, frames: Tensor | None) -> None:
        for module in body.modules():
            if isinstance(module, MaskedGroupNorm):
                module.frames = frames

    def save(self, body: nn.Module, directory: Path) -> None:
        """Write the model so that ``AutoModel`` loads it."""
        model: Any = body
        with quiet():
            model.save_pretrained(directory)
            self.extractor.save_pretrained(directory)


def run_by_length(model: nn.Module, inputs: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Return a model's last hidden states (B, ``size``, D), inputs of equal length run together without any padding.

    Args:
        model: Takes inputs and returns ``last_hidden_state``.
        inputs: What the model takes, padded: (B, T) or (B, T, F).
        lengths: How much of each is real (B,).
        size: Length of what is returned; at least that of every state.
    """
    known = lengths.tolist()
    parts = []
    for length in sorted(set(known)):
        rows = torch.tensor([row for row, own in enumerate(known) if own == length], device=inputs.device)
        parts.append((rows, model(inputs[rows, :length]).last_hidden_state))
    first = parts[0][1]
    states: Tensor = first.new_zeros(len(known), size, first.shape[2])
    for rows, part in parts:
        states[rows, : part.shape[1]] = part.to(states.dtype)
    return states


def _masked(norm: nn.GroupNorm) -> MaskedGroupNorm:
    """Return a masked normalisation that shares the parameters of a plain one."""
    masked = MaskedGroupNorm(norm.num_groups, norm.num_channels, eps=norm.eps)
    masked.weight, masked.bias = norm.weight, norm.bias
    return masked
