"""Backbone ``transformers-vision``: any image encoder of the transformers library."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field
from torch import Tensor

from headstock import Features, HeadstockError, TrainingFacts
from headstock.kits.pretrained import checkpoint_gradients, loading_call, quiet
from headstock_vision.backbones.base import ImageBackbone, ImageConfig, ImageFacts, all_true, flatten_map
from headstock_vision.backbones.hub_models import ENCODERS
from headstock_vision.backbones.pretrained import load_encoder, load_facts, save_facts
from headstock_vision.backbones.schedule import image_passes


class TransformersVisionConfig(ImageConfig):
    """Options of the ``transformers-vision`` backbone."""

    model: str = Field(min_length=1, description="Hub id (such as google/vit-base-patch16-224) or folder")
    revision: str | None = Field(None, min_length=1, description="branch, tag or commit on the Hub")
    pooling: Literal["auto", "cls", "mean", "pooler"] = Field(
        "auto",
        description="vector of an image: class token, mean of all tokens, or the model's own pooler; 'auto': what the "
        "model's family classifies with",
    )
    batch_norm: Literal["fixed", "updated"] = Field(
        "fixed", description="whether training updates the statistics of batch norm (ResNet and the like)"
    )


class TransformersVision(ImageBackbone):
    """An image encoder of transformers: ViT, DeiT, BEiT, Swin, ConvNeXT, DINOv2, ResNet, the image side of CLIP, ….

    ``sequence`` is the last hidden state, a feature map row by row; class tokens come first where there are any.

    Attributes:
        pooling: What the option came to: "cls", "mean" or "pooler".
    """

    Config = TransformersVisionConfig
    config: TransformersVisionConfig

    def __init__(self, config: TransformersVisionConfig, facts: ImageFacts, model: Any) -> None:
        super().__init__(config, facts)
        self.source = config.model
        self.fixed_statistics = config.batch_norm == "fixed"
        self.body = model
        # AutoModel would load the side for images together with the one for texts.
        self._loader = type(model).__name__ if model.config.base_config_key else "AutoModel"
        self._options = self._size_options(model)
        output = self.probe(lambda inputs: model(self.embed(inputs), **self._options))
        self.pooling = self._settle_pooling(model, output)
        self.feature_dim = self.probe(self).pooled.shape[1]

    @classmethod
    def trainer_defaults(cls, config: TransformersVisionConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the tuning of a pretrained transformer."""
        del config
        return {"learning_rate": 5e-5, **image_passes(facts, steps=300, least=4, most=15)}

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task, by kind."""
        del task
        return ENCODERS if option == "model" else {}

    @classmethod
    def create(cls, config: TransformersVisionConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Load the pretrained model; nothing is learnt from ``inputs``.

        Raises:
            HeadstockError: there is no such model, it cannot be reached or read, or it is not an image encoder.
        """
        del inputs
        return cls._from(config, config.model, config.revision)

    @classmethod
    def load(cls, config: TransformersVisionConfig, directory: Path) -> Self:
        """Make the backbone from what :meth:`save` wrote."""
        return cls._from(config, str(directory), None)

    @classmethod
    def _from(cls, config: TransformersVisionConfig, place: str, revision: str | None) -> Self:
        model = load_encoder(place, revision, pooler=config.pooling == "pooler")
        takes = inspect.signature(model.forward).parameters
        if "pixel_values" not in takes or "input_ids" in takes:
            raise HeadstockError(f"'{place}' is a {type(model).__name__}, which is not an encoder of images alone")
        return cls(config, load_facts(place, revision, config), model)

    def save(self, directory: Path) -> None:
        """Write what ``save_pretrained`` writes, and ``preprocessor_config.json``."""
        model: Any = self.body
        with quiet():
            model.save_pretrained(directory)
        save_facts(self.facts, self.config.resize == "squash", directory)

    def loading_expression(self, place: str) -> str:
        """Return the call of transformers that loads the model."""
        return loading_call(self._loader, place, self.config)

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last hidden state and the vector that :attr:`pooling` chooses."""
        del inputs
        output = self.body(embedded, **self._options)
        sequence = output.last_hidden_state
        if sequence.ndim == 4:
            sequence = flatten_map(sequence)
        if self.pooling == "pooler":
            pooled = output.pooler_output.flatten(1)
        else:
            pooled = sequence[:, 0] if self.pooling == "cls" else sequence.mean(dim=1)
        if pooled.shape[1] != sequence.shape[2]:
            sequence = pooled[:, None]
        return Features(sequence, all_true(sequence), pooled)

    def enable_gradient_checkpointing(self) -> None:
        """Switch on the model's own gradient checkpointing.

        Raises:
            NotImplementedError: the model has none.
        """
        checkpoint_gradients(self.body)

    def _size_options(self, model: Any) -> dict[str, Any]:
        """Return what the model must be told to take images of another size than it was pretrained on."""
        own = getattr(model.config, "image_size", None)
        size = self.facts.image_size
        same = own is None or list(own if isinstance(own, list | tuple) else [own, own]) == [size, size]
        takes = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters
        return {"interpolate_pos_encoding": True} if takes and not same else {}

    def _settle_pooling(self, model: Any, output: Any) -> str:
        """Return "cls", "mean" or "pooler", and drop a pooler that is not used so that no weight is left untrained.

        Raises:
            HeadstockError: the model does not have what was asked for.
        """
        kind = type(model).__name__
        sequence = getattr(output, "last_hidden_state", None)
        if sequence is None:
            raise HeadstockError(f"'{self.config.model}' is a {kind}, which gives no last hidden state")
        # a map has no first token, whatever tokens the network has inside
        has_token = sequence.ndim == 3 and any(
            name.endswith(("cls_token", "class_embedding")) for name, _ in model.named_parameters()
        )
        has_pooler = getattr(output, "pooler_output", None) is not None
        wanted: str = self.config.pooling
        if wanted == "cls" and not has_token:
            raise HeadstockError(f"{kind} has no class token; set backbone.pooling to auto or mean")
        if wanted == "pooler" and not has_pooler:
            raise HeadstockError(f"{kind} has no pooler of its own; set backbone.pooling to auto, cls or mean")
        if wanted == "auto":
            # a pooler with a dense layer (ViT, DeiT) serves masked pretraining; their classifiers take the class token
            usable = has_pooler and not hasattr(getattr(model, "pooler", None), "dense")
            wanted = "pooler" if usable else "cls" if has_token else "mean"
        if wanted != "pooler" and "add_pooling_layer" in inspect.signature(type(model).__init__).parameters:
            model.pooler = None
        return wanted
