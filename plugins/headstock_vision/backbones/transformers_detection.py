"""Backbone ``transformers-detection``: a detection transformer of the transformers library without its head."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from pydantic import Field
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForObjectDetection

from headstock import Features, HeadstockError, TrainingFacts
from headstock.kits.pretrained import address, checkpoint_gradients, loading, loading_call, quiet, require_weights
from headstock_vision.backbones.base import ImageBackbone, ImageConfig, ImageFacts, all_true
from headstock_vision.backbones.hub_models import DETECTORS
from headstock_vision.backbones.pretrained import load_facts, save_facts
from headstock_vision.detection.heads import DetectionHead, Limits
from headstock_vision.detection.query_head import QueryHead

BODIES = {"detr": "model", "table-transformer": "model", "yolos": "vit"}
"""Kinds of model whose head reads the queries' last states and nothing else, and where their body is."""
LABELS, BOXES = "class_labels_classifier", "bbox_predictor"
"""The parts of the head."""


class TransformersDetectionConfig(ImageConfig):
    """Options of the ``transformers-detection`` backbone."""

    model: str = Field(min_length=1, description="Hub id (such as hustvl/yolos-tiny) or folder")
    revision: str | None = Field(None, min_length=1, description="branch, tag or commit on the Hub")


class TransformersDetection(ImageBackbone):
    """DETR, Table Transformer, YOLOS: ``sequence`` has a vector for each object query, ``pooled`` is their mean.

    For ``object-detection`` it brings the model's own head, pretrained but for the layers that depend on the labels.
    """

    Config = TransformersDetectionConfig
    config: TransformersDetectionConfig

    def __init__(self, config: TransformersDetectionConfig, facts: ImageFacts, body: Any) -> None:
        super().__init__(config, facts)
        self.source = config.model
        self.body = body
        self._queries = getattr(body.config, "num_detection_tokens", None)
        self._head_weights: dict[str, Tensor] = {}
        self.feature_dim = self.probe(self).pooled.shape[1]

    @classmethod
    def trainer_defaults(cls, config: TransformersDetectionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the tuning of a pretrained detection transformer."""
        del config, facts
        return {"learning_rate": 5e-5, "epochs": 30, "batch_size": 4, "max_grad_norm": 0.1}

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task."""
        del task
        return DETECTORS if option == "model" else {}

    @classmethod
    def create(cls, config: TransformersDetectionConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Load the pretrained model; nothing is learnt from ``inputs``.

        Raises:
            HeadstockError: there is no such model, it cannot be reached or read, or it is of another kind.
        """
        del inputs
        place = address(config.model, config.revision)
        with loading(config.model):
            kind = AutoConfig.from_pretrained(**place).model_type
            if kind not in BODIES:
                raise HeadstockError(
                    f"'{config.model}' is a model of type {kind}; transformers-detection runs {', '.join(BODIES)}"
                )
            model, info = AutoModelForObjectDetection.from_pretrained(
                dtype=torch.float32, use_safetensors=True, output_loading_info=True, **place
            )
        require_weights(config.model, model, info["missing_keys"])
        facts = load_facts(config.model, config.revision, config)
        backbone = cls(config, facts, getattr(model, BODIES[kind]))
        weights = model.state_dict()
        backbone._head_weights = {name: value for name, value in weights.items() if name.startswith((LABELS, BOXES))}
        return backbone

    @classmethod
    def load(cls, config: TransformersDetectionConfig, directory: Path) -> Self:
        """Make the backbone from what :meth:`save` wrote."""
        with loading(str(directory)):
            body, info = AutoModel.from_pretrained(
                **address(str(directory), None), dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
        of_pooler = {name for name in info["missing_keys"] if name.startswith("pooler.")}
        require_weights(str(directory), body, set(info["missing_keys"]) - of_pooler)
        if of_pooler:  # queries are not pooled, so the model was saved without
            body.pooler = None
        return cls(config, load_facts(str(directory), None, config), body)

    def save(self, directory: Path) -> None:
        """Write what ``save_pretrained`` writes, and ``preprocessor_config.json``."""
        model: Any = self.body
        with quiet():
            model.save_pretrained(directory)
        save_facts(self.facts, True, directory)

    def loading_expression(self, place: str) -> str:
        """Return the call of transformers that loads the model."""
        return loading_call("AutoModel", place, self.config)

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last states of the object queries, and their mean."""
        del inputs
        states = self.body(embedded).last_hidden_state
        sequence = states if self._queries is None else states[:, -self._queries :]
        return Features(sequence, all_true(sequence), sequence.mean(dim=1))

    def detection_head(self, labels: int, limits: Limits) -> DetectionHead:
        """Return the model's own head for so many labels."""
        body: Any = self.body
        config = copy.deepcopy(body.config)
        config.num_labels, config.auxiliary_loss, config.use_pretrained_backbone = labels, False, False
        auto: Any = AutoModelForObjectDetection  # without types for this
        with quiet():
            model: Any = auto.from_config(config)
        own = model.state_dict()
        fitting = {name: value for name, value in self._head_weights.items() if own[name].shape == value.shape}
        model.load_state_dict(fitting, strict=False)
        return QueryHead(getattr(model, LABELS), getattr(model, BOXES), config, limits)

    def enable_gradient_checkpointing(self) -> None:
        """Switch on the model's own gradient checkpointing.

        Raises:
            NotImplementedError: the model has none.
        """
        checkpoint_gradients(self.body)
