"""Parts that several tasks have in common, for plugin authors: label sets, classification, entity tags."""

from headstock.kits.classification import Classification, ClassificationConfig
from headstock.kits.labelled import Labelled, LabelledConfig
from headstock.kits.labels import LabelSet, balanced_weights

__all__ = ["Classification", "ClassificationConfig", "LabelSet", "Labelled", "LabelledConfig", "balanced_weights"]
