"""Makes the models of ``recipes/text_tiny.yaml`` and ``text_base.yaml``: BERTs with random weights.

python benchmarks/peers/tiny.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "benchmarks-results" / "tiny-bert"
BASE = ROOT / "benchmarks-results" / "base-bert"
TOKENIZER = ROOT.parent / "shared" / "data" / "weights" / "all-minilm-l6-v2-fp16"


def make() -> None:
    """Write a BERT of two layers of width 64, unless it is there; the same weights every time."""
    _make(FOLDER, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)


def make_base() -> None:
    """Write a BERT of base size (twelve layers of width 768), unless it is there; the same weights every time."""
    _make(BASE)


def _make(folder: Path, **sizes: int) -> None:
    if (folder / "tokenizer.json").exists():
        return
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes), add_pooling_layer=False).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    make()
