"""Parts that several tasks have in common, for plugin authors: classification over a learnt label set."""

from headstock.kits.classification import Classification, ClassificationConfig
from headstock.kits.labels import LabelSet, balanced_weights

__all__ = ["Classification", "ClassificationConfig", "LabelSet", "balanced_weights"]
