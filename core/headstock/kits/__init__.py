"""Parts that several plugins have in common: label sets, classification, reading of data, scripts, numbers of epochs.

Public beside these names: :mod:`headstock.kits.packaged` (files of installed packages), :mod:`headstock.kits.pooling`,
:mod:`headstock.kits.pretrained` (loading through transformers) and :mod:`headstock.kits.weights` (safetensors).
"""

from headstock.data.folders.split_names import split_in, split_of
from headstock.data.folders.system_files import is_system_file
from headstock.data.formats.text_file import open_text
from headstock.data.tables.cached_rows import cached_rows
from headstock.data.tables.placed_rows import PlacedRows
from headstock.files import user_path
from headstock.kits.classification import Classification, ClassificationConfig
from headstock.kits.divergence import categorical_divergence, independent_divergence
from headstock.kits.labelled import Labelled, LabelledConfig
from headstock.kits.labels import LabelSet, class_weights
from headstock.kits.lists import read_list
from headstock.kits.passes import passes
from headstock.kits.scripts import UNSPACED, parts_words, scripts_of

__all__ = [
    "UNSPACED",
    "Classification",
    "ClassificationConfig",
    "LabelSet",
    "Labelled",
    "LabelledConfig",
    "PlacedRows",
    "cached_rows",
    "categorical_divergence",
    "class_weights",
    "independent_divergence",
    "is_system_file",
    "open_text",
    "parts_words",
    "passes",
    "read_list",
    "scripts_of",
    "split_in",
    "split_of",
    "user_path",
]
