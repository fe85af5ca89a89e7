"""What the tests of the text plugin share: a few steps without an engine, and tiny pretrained encoders on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import nn
from transformers import AutoModel, PreTrainedTokenizerFast

from headstock.interfaces import Backbone, Batch, Example, Features, Task


class Steps:
    """What the engine does, for a handful of examples."""

    @staticmethod
    def features(backbone: Backbone, examples: Sequence[Example]) -> Features:
        backbone.eval()
        with torch.no_grad():
            return backbone(backbone.collate(examples))

    @staticmethod
    def prepare(task: Task, backbone: Backbone, rows: Sequence[Mapping[str, Any]]) -> Batch:
        examples = [backbone.preprocess(task.inputs(row)) for row in rows]
        targets = [task.encode(task.reference(row), example) for row, example in zip(rows, examples, strict=True)]
        return Batch(backbone.collate(examples), task.collate(targets), len(rows))

    @staticmethod
    def train(task: Task, backbone: Backbone, head: nn.Module, batch: Batch, steps: int, rate: float) -> list[float]:
        parameters = [*backbone.parameters(), *head.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=rate)
        backbone.train()
        head.train()
        losses = []
        for _ in range(steps):
            loss = task.loss(task.forward(head, backbone(batch.inputs), batch), batch)
            mean = loss.total / loss.count
            optimizer.zero_grad()
            mean.backward()
            optimizer.step()
            losses.append(mean.item())
        return losses

    @staticmethod
    def predict(task: Task, backbone: Backbone, head: nn.Module, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        examples = [backbone.preprocess(task.inputs(row)) for row in rows]
        batch = Batch(backbone.collate(examples), {}, len(rows))
        head.eval()
        with torch.no_grad():
            outputs = task.forward(head, Steps.features(backbone, examples), batch)
        return task.decode(outputs, batch)


@pytest.fixture
def steps() -> type[Steps]:
    """Preprocess, train and predict without an engine."""
    return Steps


CORPUS = ["the cat sat on the mat", "a dog ran and ran", "hello world, paris is nice!", "我爱北京天安门"] * 5
POSITIONS = 40
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": POSITIONS,
}


def wordpiece() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(
        CORPUS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def byte_bpe() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
    )


def unigram() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.UnigramTrainer(vocab_size=100, unk_token="<unk>", special_tokens=special, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


MODERN = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}
RELATIVE = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]}

Recipe = tuple[str, dict[str, Any], Callable[[], PreTrainedTokenizerFast]]

ARCHITECTURES: dict[str, Recipe] = {
    "bert": ("BertConfig", SIZES, wordpiece),
    "roberta": ("RobertaConfig", {**SIZES, "pad_token_id": 1}, byte_bpe),
    "distilbert": (
        "DistilBertConfig",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": POSITIONS},
        wordpiece,
    ),
    "electra": ("ElectraConfig", {**SIZES, "embedding_size": 16}, wordpiece),
    "albert": ("AlbertConfig", {**SIZES, "embedding_size": 16}, wordpiece),
    "deberta-v2": ("DebertaV2Config", {**SIZES, **RELATIVE, "position_buckets": 8, "share_att_key": True}, wordpiece),
    "modernbert": ("ModernBertConfig", {**SIZES, **MODERN, "mask_token_id": 3, "local_attention": 8}, byte_bpe),
    "mpnet": ("MPNetConfig", {**SIZES, "pad_token_id": 1}, byte_bpe),
    "t5": ("T5Config", {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}, unigram),
}


def make_encoder(folder: Path, architecture: str = "bert") -> str:
    """Write a tiny encoder with random weights and its tokenizer, and return the folder's name."""
    config_name, options, tokenizer = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    config = getattr(transformers, config_name)(vocab_size=400, **options)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture
def tiny_tokenizer() -> Callable[[], PreTrainedTokenizerFast]:
    """Return what makes a tokenizer that gives any text back."""
    return byte_bpe


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return the folder of a tiny encoder of an architecture, made once."""
    made: dict[str, str] = {}

    def folder(architecture: str) -> str:
        if architecture not in made:
            made[architecture] = make_encoder(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return folder
