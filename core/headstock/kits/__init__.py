"""Parts that several plugins have in common: label sets, classification, reading of data, scripts.

Public beside these names: :mod:`headstock.kits.pooling`, :mod:`headstock.kits.pretrained` (loading through
transformers) and :mod:`headstock.kits.weights` (safetensors).
"""

from headstock.data.cached_rows import cached_rows
from headstock.data.formats.text_file import open_text
from headstock.data.placed_rows import PlacedRows
from headstock.data.split_names import ALIASES as SPLIT_NAMES
from headstock.data.split_names import split_in, split_of
from headstock.data.system_files import is_system_file
from headstock.files import user_path
from headstock.kits.classification import Classification, ClassificationConfig
from headstock.kits.labelled import Labelled, LabelledConfig
from headstock.kits.labels import LabelSet, balanced_weights
from headstock.kits.lists import read_list
from headstock.kits.scripts import UNSPACED, parts_words, scripts_of

__all__ = [
    "SPLIT_NAMES",
    "UNSPACED",
    "Classification",
    "ClassificationConfig",
    "LabelSet",
    "Labelled",
    "LabelledConfig",
    "PlacedRows",
    "balanced_weights",
    "cached_rows",
    "is_system_file",
    "open_text",
    "parts_words",
    "read_list",
    "scripts_of",
    "split_in",
    "split_of",
    "user_path",
]
