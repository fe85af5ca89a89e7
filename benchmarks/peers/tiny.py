"""Makes the model of ``recipes/text_tiny.yaml``: a BERT of two layers with random weights.

python benchmarks/peers/tiny.py
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoTokenizer, BertConfig, BertModel

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "benchmarks-results" / "tiny-bert"
TOKENIZER = ROOT.parent / "shared" / "data" / "weights" / "all-minilm-l6-v2-fp16"


def make() -> None:
    """Write the model, unless it is there; the same weights every time."""
    if (FOLDER / "tokenizer.json").exists():
        return
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(FOLDER)
    tokenizer.save_pretrained(FOLDER)


if __name__ == "__main__":
    make()
