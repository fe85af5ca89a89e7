"""Models of the Hub that are usual for text, all with safetensors and a fast tokenizer: the smallest first."""

from __future__ import annotations

from collections.abc import Mapping

Models = Mapping[str, tuple[str, ...]]

ENCODERS: Models = {
    "English": ("distilbert/distilbert-base-uncased", "FacebookAI/roberta-base"),
    "Chinese": ("BAAI/bge-small-zh-v1.5", "google-bert/bert-base-chinese"),
    "multilingual": ("distilbert/distilbert-base-multilingual-cased", "FacebookAI/xlm-roberta-base"),
}
FOR_NAMES: Models = {**ENCODERS, "English": ("distilbert/distilbert-base-cased", "google-bert/bert-base-cased")}
"""Names begin with capitals, which uncased models do not see."""
WITH_DECODER: Models = {
    "English, German, French, Romanian": ("google-t5/t5-small", "google-t5/t5-base"),
    "English": ("facebook/bart-base",),
}


def encoders(task: str) -> Models:
    """Return encoders for a task, by language."""
    return FOR_NAMES if task == "token-classification" else ENCODERS
