"""Parts that several tasks have in common, for plugin authors: label sets, classification, reading of data."""

from headstock.data.cached_rows import cached_rows
from headstock.data.formats.text_file import open_text
from headstock.data.placed_rows import PlacedRows
from headstock.data.split_names import split_of
from headstock.kits.classification import Classification, ClassificationConfig
from headstock.kits.labelled import Labelled, LabelledConfig
from headstock.kits.labels import LabelSet, balanced_weights

__all__ = [
    "Classification",
    "ClassificationConfig",
    "LabelSet",
    "Labelled",
    "LabelledConfig",
    "PlacedRows",
    "balanced_weights",
    "cached_rows",
    "open_text",
    "split_of",
]
