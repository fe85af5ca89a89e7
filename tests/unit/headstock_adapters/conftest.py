"""Tiny backbones for the adapter tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from headstock.interfaces import Backbone, Config, Example, Features


class _Fixed(Backbone):
    modality = "any"

    @classmethod
    def create(cls, config: Any, inputs: Iterable[Mapping[str, Any]]) -> Self:
        raise NotImplementedError

    @classmethod
    def load(cls, config: Any, directory: Path) -> Self:
        raise NotImplementedError

    def save(self, directory: Path) -> None:
        raise NotImplementedError

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        raise NotImplementedError

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        raise NotImplementedError


class BertBackbone(_Fixed):
    """A transformers model, with a layer of its own beside the body."""

    def __init__(self) -> None:
        super().__init__(Config())
        torch.manual_seed(0)
        self.body = BertModel(
            BertConfig(
                vocab_size=20,
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=24,
                max_position_embeddings=12,
            )
        )
        self.feature_dim = 16
        self.beside = nn.Linear(16, 16)

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.body.get_input_embeddings()(inputs["ids"])

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        mask = torch.ones_like(inputs["ids"])
        states = self.beside(self.body(inputs_embeds=embedded, attention_mask=mask).last_hidden_state)
        return Features(states, mask.bool(), states.mean(1))


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(8, 8)

    def forward(self, pixels: Tensor) -> Tensor:
        states = self.depthwise(F.relu(self.norm(self.conv(pixels))))
        states = self.drop(states).flatten(2).transpose(1, 2)
        states, _ = self.attention(states, states, states, need_weights=False)
        return self.out(states)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(20, 8)
        self.rnn = nn.LSTM(8, 8, batch_first=True, bidirectional=True)


class ModuleBackbone(_Fixed):
    """Any module as a body."""

    def __init__(self, body: nn.Module, feature_dim: int = 8) -> None:
        super().__init__(Config())
        self.body = body
        self.feature_dim = feature_dim

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["pixels"]

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        states = self.body(embedded)
        return Features(states, torch.ones(states.shape[:2], dtype=torch.bool), states.mean(1))


class ModelBackbone(ModuleBackbone):
    """Any model of transformers as a body."""

    def __init__(self, body: Any) -> None:
        super().__init__(body, body.config.hidden_size)

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        states = self.body(embedded).last_hidden_state
        return Features(states, torch.ones(states.shape[:2], dtype=torch.bool), states.mean(1))


def conv_backbone() -> ModuleBackbone:
    torch.manual_seed(0)
    return ModuleBackbone(ConvNet())


class TorchTransformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, activation="gelu", batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, states: Tensor) -> Tensor:
        return self.layers(states)


def torch_transformer_backbone() -> ModuleBackbone:
    torch.manual_seed(0)
    return ModuleBackbone(TorchTransformer())


@pytest.fixture
def backbones() -> SimpleNamespace:
    return SimpleNamespace(
        bert=BertBackbone,
        conv=conv_backbone,
        torch_transformer=torch_transformer_backbone,
        module=ModuleBackbone,
        model=ModelBackbone,
        recurrent=lambda: ModuleBackbone(Recurrent()),
    )
