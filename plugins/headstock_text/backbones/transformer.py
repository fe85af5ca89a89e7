"""Any text encoder of the transformers library as a backbone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import Field

from headstock_text.backbones.encoder import EncoderConfig, TransformerEncoder
from headstock_text.backbones.hub_models import encoders
from headstock_text.backbones.pretrained import load_pretrained


class TransformerTextConfig(EncoderConfig):
    """Options of the ``transformers-text`` backbone."""

    model: str = Field(min_length=1, description="Hub id (such as google-bert/bert-base-uncased) or folder")
    revision: str | None = Field(None, min_length=1, description="branch, tag or commit on the Hub")


class TransformerText(TransformerEncoder):
    """An encoder by its Hub id, or from a folder."""

    Config = TransformerTextConfig
    config: TransformerTextConfig

    def __init__(self, config: TransformerTextConfig, model: Any, tokenizer: Any) -> None:
        super().__init__(config, model, tokenizer, config.model)
        self.source = config.model

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task, by language."""
        return encoders(task) if option == "model" else {}

    @classmethod
    def create(cls, config: TransformerTextConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Load the pretrained model from the Hub or a folder."""
        del inputs
        model, tokenizer = load_pretrained(config.model, config.revision, pooler=config.pooling == "pooler")
        return cls(config, model, tokenizer)

    @classmethod
    def load(cls, config: TransformerTextConfig, directory: Path) -> Self:
        """Load what :meth:`save` wrote."""
        model, tokenizer = load_pretrained(str(directory), None, pooler=config.pooling == "pooler")
        return cls(config, model, tokenizer)
