"""Text classification: one label, or any number of labels, for a text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from headstock import Column, Row, Splits
from headstock.kits import Classification, ClassificationConfig
from headstock_text.samples import library_docs, shop_messages
from headstock_text.tasks.cells import read_text
from headstock_text.writing import Writing, WritingConfig


class TextClassificationConfig(ClassificationConfig, WritingConfig):
    """Options of the ``text-classification`` task."""

    sample: Literal["en", "zh"] = Field("en", description="language of the task's own sample")
    multi_label: bool = Field(False, description="an example may have any number of labels, or none")
    label_separator: str = Field(
        ",", min_length=1, description="what stands between several labels in one value of the label column"
    )


class TextClassification(Classification):
    """Labels from a linear layer on the pooled features."""

    Config = TextClassificationConfig
    modality: ClassVar[str] = "text"
    pipeline_tag: ClassVar[str | None] = "text-classification"
    default_backbone: ClassVar[str] = "minilm"
    fallback_backbones: ClassVar[tuple[str, ...]] = ("use-multilingual", "textcnn")
    columns: ClassVar[tuple[Column, ...]] = (
        Column(name="text", role="input", summary="the text"),
        Column(name="text_pair", role="input", required=False, summary="a second text, where two are judged together"),
        Column(name="label", role="target", stratify=True, summary="the label; with multi_label a list of labels"),
    )

    def __init__(self, config: TextClassificationConfig) -> None:
        super().__init__(config)
        self._writing = Writing(config)

    @property
    def multi_label(self) -> bool:
        """Whether an example may have any number of labels."""
        return bool(self.config.multi_label)

    @property
    def label_separator(self) -> str:
        """What separates several labels in one text value."""
        return str(self.config.label_separator)

    def sample(self) -> Splits:
        """Return summaries from the documentation of Python's library by subject, or a shop's messages in Chinese."""
        return shop_messages.splits() if self.config.sample == "zh" else library_docs.splits()

    def inputs(self, row: Row) -> Mapping[str, Any]:
        """Return ``text``, and ``text_pair`` where the row has one."""
        inputs = {"text": self._writing.text(read_text(row, "text"))}
        pair = row.get("text_pair")
        # The column is optional, and tables write "no value" as an empty cell.
        if pair is not None and pair != "":
            inputs["text_pair"] = self._writing.text(read_text(row, "text_pair"))
        return inputs
