"""Classification over a learnt label set, single- or multi-label, whatever the input is.

A task that classifies says its columns, its sample and how a row becomes backbone inputs; the rest is here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headstock.error_text import shown
from headstock.interfaces import (
    Backbone,
    BadExampleError,
    Batch,
    ConfusionMatrix,
    Details,
    Example,
    Features,
    Loss,
    Metric,
)
from headstock.interfaces.task import Row
from headstock.kits.curve_areas import curve_areas
from headstock.kits.divergence import categorical_divergence, independent_divergence
from headstock.kits.labelled import Labelled, LabelledConfig
from headstock.kits.labels import LabelSet, class_weights
from headstock.kits.lists import read_list
from headstock.kits.spelling import bare

KEPT_SCORES = 10
"""How many of the best labels a prediction lists."""


class ClassificationConfig(LabelledConfig):
    """Options of every classification task."""


class Classification(Labelled):
    """Base of classification tasks.

    Attributes:
        label_column: The column that holds the label.
    """

    Config = ClassificationConfig
    label_column: ClassVar[str] = "label"
    reads: ClassVar[tuple[str, ...]] = ("pooled",)
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(name="accuracy", better="higher", summary="fraction of examples whose labels are all right"),
        Metric(name="precision", better="higher", summary="mean of the precision over labels that occur (macro)"),
        Metric(name="recall", better="higher", summary="mean of the recall over labels that occur (macro)"),
        Metric(name="f1", better="higher", summary="mean of F1 over labels that occur (macro)"),
        Metric(name="micro_f1", better="higher", summary="F1 over all labels of all examples together"),
        Metric(
            name="balanced_accuracy",
            better="higher",
            summary="mean of the recall over true labels; with several labels an example, of having and lacking each",
        ),
        Metric(
            name="roc_auc",
            better="higher",
            summary="mean over labels of the area under the ROC curve of each against the rest; up to 10 labels",
        ),
        Metric(
            name="pr_auc",
            better="higher",
            summary="mean over labels of the average precision of each against the rest; up to 10 labels",
        ),
    )

    @property
    def multi_label(self) -> bool:
        """Whether an example may have any number of labels."""
        return False

    # Data

    def reference(self, row: Row) -> str | list[str]:
        """Return the label, or for multi-label the sorted list of labels (possibly empty)."""
        value = row.get(self.label_column)
        if self.multi_label:
            return self._many(value)
        if value is None or value == "":
            raise BadExampleError("no label")
        if not isinstance(value, str | int | float | np.generic):
            raise BadExampleError(f"column '{self.label_column}' holds {type(value).__name__}, not one label")
        label = bare(str(value))
        if not label:
            raise BadExampleError("no label")
        return label

    def _many(self, value: Any) -> list[str]:
        if isinstance(value, str) and value.strip().startswith("["):
            written = read_list(value)
            if written is None:
                raise BadExampleError(
                    f'column \'{self.label_column}\' is not a list such as ["a", "b"]: {shown(value)}'
                )
            value = written
        if value is None:
            raise BadExampleError("no label; an example with no label at all is written as an empty list: []")
        parts = value if isinstance(value, list | tuple) else str(value).split(self.label_separator)
        return sorted({bare(str(part)) for part in parts} - {""})

    @property
    def label_separator(self) -> str:
        """What separates several labels in one text value."""
        return ","

    def learn(self, references: Sequence[str | list[str]]) -> None:
        """Learn the label set and, if asked for, the class weights."""
        seen = [label for reference in references for label in _listed(reference)]
        self.labels = LabelSet.learn(seen)
        option = self.config.class_weights
        if isinstance(option, Mapping):
            option = {self.labels.canonical(label): weight for label, weight in option.items()}
        self.weights = class_weights(option, self.labels.names, map(self.labels.canonical, seen))

    def canonical(self, reference: str | list[str]) -> str | list[str]:
        """Return the label or labels in the spelling that was learnt; of several, each once and in sorted order."""
        if isinstance(reference, str):
            return self.labels.canonical(reference)
        return sorted({self.labels.canonical(label) for label in reference})

    def encode(self, reference: str | list[str], example: Example) -> dict[str, Tensor]:
        """Return ``label``: a label index, or for multi-label a float vector of zeros and ones.

        Raises:
            NoTargetError: training data had not the label.
        """
        del example
        indices = [self.labels.index(label) for label in _listed(reference)]
        if not self.multi_label:
            return {"label": torch.tensor(indices[0])}
        target = torch.zeros(len(self.labels))
        target[indices] = 1.0
        return {"label": target}

    def baseline(
        self, references: Sequence[str | list[str]], inputs: Iterable[Mapping[str, Any]]
    ) -> list[list[dict[str, Any]]]:
        """Return for every example the labels by how frequent they are, with their share as score."""
        counts = Counter(label for reference in references for label in _listed(reference))
        shares = [
            {"label": name, "score": round(count / len(references), 6)}
            for name, count in counts.most_common(KEPT_SCORES)
        ]
        return [shares for _ in inputs]

    # Model

    def build_head(self, backbone: Backbone) -> nn.Module:
        """Return dropout and a linear layer on the pooled features."""
        return nn.Sequential(nn.Dropout(self.config.dropout), nn.Linear(backbone.feature_dim, len(self.labels)))

    def forward(self, head: nn.Module, features: Features, batch: Batch) -> dict[str, Tensor]:
        """Return ``logits`` (B, labels)."""
        del batch
        return {"logits": head(features.pooled)}

    def loss(self, outputs: dict[str, Tensor], batch: Batch) -> Loss:
        """Return cross-entropy, or for multi-label the mean over labels of binary cross-entropy."""
        logits, target = outputs["logits"].float(), batch.targets["label"]
        weights = self.weights_on(logits.device)
        smoothing = self.config.label_smoothing
        if self.multi_label:
            target = target * (1 - smoothing) + smoothing / 2
            each = F.binary_cross_entropy_with_logits(logits, target, weight=weights, reduction="none")
            return Loss(each.mean(dim=1).sum(), logits.new_full((), float(len(target))))
        total = F.cross_entropy(logits, target, weight=weights, label_smoothing=smoothing, reduction="sum")
        if weights is None:
            return Loss(total, logits.new_full((), float(len(target))))
        return Loss(total, weights[target].sum())

    def divergence(self, outputs: dict[str, Tensor], reference: dict[str, Tensor], batch: Batch) -> Loss:
        """Return the Kullback-Leibler divergence of the labels' probabilities, summed over examples by their weight."""
        logits, others = outputs["logits"], reference["logits"]
        if self.multi_label:
            return independent_divergence(logits, others)
        weights = self.weights_on(logits.device)
        return categorical_divergence(logits, others, None if weights is None else weights[batch.targets["label"]])

    # Predictions

    def decode(self, outputs: dict[str, Tensor], batch: Batch) -> list[list[dict[str, Any]]]:
        """Return for each example its labels with scores, best first, as text-classification pipelines do."""
        del batch
        return self._ranked(outputs["logits"], None)

    def decode_top(self, outputs: dict[str, Tensor], batch: Batch, count: int) -> list[list[dict[str, Any]]]:
        """Return for each example the ``count`` best labels with scores."""
        del batch
        return self._ranked(outputs["logits"], count)

    def _ranked(self, logits: Tensor, count: int | None) -> list[list[dict[str, Any]]]:
        scores = logits.sigmoid() if self.multi_label else logits.softmax(dim=1)
        values, order = scores.sort(dim=1, descending=True)
        predictions = []
        for row, indices in zip(values.tolist(), order.tolist(), strict=True):
            kept = count or max(KEPT_SCORES, sum(value >= 0.5 for value in row))
            pairs = list(zip(row, indices, strict=True))[:kept]
            predictions.append([{"label": self.labels.names[n], "score": round(value, 6)} for value, n in pairs])
        return predictions

    def _chosen(self, prediction: list[dict[str, Any]]) -> str | list[str]:
        if self.multi_label:
            return sorted(scored["label"] for scored in prediction if scored["score"] >= 0.5)
        return str(prediction[0]["label"])

    def _arrays(self, predictions: Sequence[Any], references: Sequence[Any]) -> tuple[Any, Any, Any, tuple[str, ...]]:
        """Return truth, prediction and labels in the form that scikit-learn's metrics take, and the labels' names.

        Labels that only these references have are among them: nothing that is predicted is right there.
        """
        chosen = [self._chosen(prediction) for prediction in predictions]
        names = self.labels.with_others(label for reference in references for label in _listed(reference))
        if not self.multi_label:
            return list(references), chosen, list(names), names
        from sklearn.preprocessing import MultiLabelBinarizer

        binarizer = MultiLabelBinarizer(classes=list(names)).fit([])
        return binarizer.transform(references), binarizer.transform(chosen), range(len(names)), names

    def score(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Return accuracy, plain and balanced; macro precision, recall and F1 over the labels that occur; micro F1.

        And areas under curves (:func:`headstock.kits.curve_areas.curve_areas`), where predictions list all labels.
        """
        from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

        truth, chosen, labels, names = self._arrays(predictions, references)
        # As scikit-learn and seqeval have it: labels that neither occur nor are predicted have no part in the mean.
        occurring = [label for label, there in zip(labels, self._occurring(truth, chosen, names), strict=True) if there]
        precision = recall = f1 = micro = 0.0
        if occurring:
            precision, recall, f1, _ = precision_recall_fscore_support(
                truth, chosen, labels=occurring, average="macro", zero_division=0
            )
            micro = f1_score(truth, chosen, labels=occurring, average="micro", zero_division=0)
        return {
            "accuracy": float(accuracy_score(truth, chosen)),
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(f1),
            "micro_f1": float(micro),
            "balanced_accuracy": self._balanced_accuracy(truth, chosen),
            **curve_areas(
                [{scored["label"]: scored["score"] for scored in prediction} for prediction in predictions],
                [_listed(reference) for reference in references],
                names,
                len(self.labels),
            ),
        }

    def _balanced_accuracy(self, truth: Any, chosen: Any) -> float:
        from sklearn.metrics import multilabel_confusion_matrix, recall_score

        if not self.multi_label:
            # balanced_accuracy_score gives the same, and a warning for each label that is predicted and never true.
            return float(recall_score(truth, chosen, labels=sorted(set(truth)), average="macro", zero_division=0))
        matrices = multilabel_confusion_matrix(truth, chosen)
        right, there = matrices[:, [0, 1], [0, 1]], matrices.sum(axis=2)
        return float((right[there > 0] / there[there > 0]).mean())

    def _occurring(self, truth: Any, chosen: Any, names: Sequence[str]) -> list[bool]:
        """Return for each label whether an example has it or is said to have it."""
        if self.multi_label:
            return list((truth.any(axis=0) | chosen.any(axis=0)).tolist())
        seen = {*truth, *chosen}
        return [name in seen for name in names]

    def details(self, predictions: Sequence[Any], references: Sequence[Any]) -> Details:
        """Return precision, recall, F1 and number of examples per label, and for single-label the confusion matrix."""
        truth, chosen, labels, names = self._arrays(predictions, references)
        from sklearn.metrics import precision_recall_fscore_support

        columns = precision_recall_fscore_support(truth, chosen, labels=labels, average=None, zero_division=0)
        per_class = {
            name: dict(zip(("precision", "recall", "f1", "support"), map(float, figures), strict=True))
            for name, *figures in zip(names, *columns, strict=True)
        }
        if self.multi_label:
            return Details(per_class=per_class)
        place = {label: index for index, label in enumerate(labels)}
        pairs = ((place[reference], place[predicted]) for reference, predicted in zip(truth, chosen, strict=True))
        matrix = ConfusionMatrix.count(names, pairs)
        return Details(per_class=per_class, confusion=matrix)


def _listed(reference: str | list[str]) -> list[str]:
    return [reference] if isinstance(reference, str) else reference
