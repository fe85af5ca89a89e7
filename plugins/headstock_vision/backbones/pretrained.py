"""Loads an image encoder of the transformers library, and how it wants its images, from the Hub or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import MODEL_MAPPING, AutoConfig, AutoImageProcessor, AutoModel, CLIPImageProcessor, ViTImageProcessor

from headstock import HeadstockError
from headstock.kits.pretrained import address, explain, loading, quiet, require_weights
from headstock_vision.backbones.base import Channels, ImageConfig, ImageFacts

_RESAMPLING = {"bilinear": 2, "bicubic": 3}
"""Pillow's numbers for ways to resize, which image processors keep."""


def load_encoder(name: str, revision: str | None, pooler: bool) -> Any:
    """Return the model of a Hub id or folder in float32 and evaluation mode.

    Args:
        name: Hub id or folder.
        revision: Branch, tag or commit on the Hub.
        pooler: Whether the model's own pooler must be there. If not, a pooler without weights is dropped.

    Raises:
        HeadstockError: there is no such model, it cannot be reached or read, or weights are missing.
    """
    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
    place = address(name, revision)
    with loading(name):
        tower = vision_tower(AutoConfig.from_pretrained(**place))
        if tower is None:
            model, info = AutoModel.from_pretrained(**place, **options)
        else:
            model, info = tower.from_pretrained(**place, **options)
    # a mask token takes part in masked pretraining only
    missing = {key for key in info["missing_keys"] if not key.endswith("mask_token")}
    of_pooler = {key for key in missing if key.startswith("pooler.")}
    if pooler and missing == of_pooler and missing:
        raise HeadstockError(f"'{name}' has no weights for its pooler; set backbone.pooling to cls or mean")
    require_weights(name, model, missing if pooler else missing - of_pooler)
    if of_pooler:
        model.pooler = None
    return model


def vision_tower(config: Any) -> Any:
    """Return the class that loads the image side alone of a model of images and texts (CLIP, SigLIP), or ``None``."""
    part = getattr(config, "vision_config", None)
    if part is None or not hasattr(config, "text_config"):
        return None
    return MODEL_MAPPING.get(type(part), None)


def load_facts(name: str, revision: str | None, config: ImageConfig) -> ImageFacts:
    """Return how a pretrained model wants its images, with the user's options in place of what it says.

    Raises:
        HeadstockError: it says nothing, or nothing usable, and the options do not say it all.
    """
    if config.image_size and config.mean and config.std:
        return ImageFacts(config.image_size).overridden(config)
    auto: Any = AutoImageProcessor
    try:
        with quiet():
            processor = auto.from_pretrained(**address(name, revision))
            size, mean, std = _measure(processor)
    except Exception as error:  # transformers and the Hub client raise a dozen kinds, all about this model
        raise HeadstockError(
            f"cannot tell how '{name}' wants its images: {explain(error)}; set backbone.image_size, mean and std"
        ) from error
    size = config.image_size or size
    if size is None:
        raise HeadstockError(f"'{name}' does not say one image size; set backbone.image_size")
    cubic = getattr(processor, "resample", None) in (1, 3)  # Lanczos comes nearest to bicubic
    return ImageFacts(size, mean, std, "bicubic" if cubic else "bilinear").overridden(config)


def save_facts(facts: ImageFacts, squash: bool, directory: Path) -> None:
    """Write ``preprocessor_config.json`` so that transformers' own image processors do what this backbone does."""
    size = {"height": facts.image_size, "width": facts.image_size}
    options: dict[str, Any] = {
        "image_mean": list(facts.mean),
        "image_std": list(facts.std),
        "resample": _RESAMPLING[facts.interpolation],
        "do_convert_rgb": True,
    }
    processor: Any
    if squash:
        processor = ViTImageProcessor(size=size, **options)
    else:
        processor = CLIPImageProcessor(size={"shortest_edge": facts.image_size}, crop_size=size, **options)
    with quiet():
        processor.save_pretrained(directory)


def _measure(processor: Any) -> tuple[int | None, Channels, Channels]:
    """Return size, mean and deviation (pixels in 0…1) that a processor comes to, by what it makes of plain images.

    What options mean differs from class to class (crops, scales, offsets, a second division); what comes out does not.
    The size is ``None`` unless square images of every size come out alike and square.
    """
    black, white, larger = (
        processor(Image.new("RGB", (side, side), colour), return_tensors="pt")["pixel_values"]
        for side, colour in ((320, "black"), (320, "white"), (448, "black"))
    )
    if black.ndim != 4 or black.shape[1] != 3:
        raise ValueError(f"its image processor gives tensors of shape {list(black.shape)}, not images")
    size = black.shape[2] if black.shape == larger.shape and black.shape[2] == black.shape[3] else None
    low, high = (image[0].double().mean(dim=(1, 2)) for image in (black, white))
    if not bool((high > low).all()):
        raise ValueError("its image processor does not tell black from white")
    return size, _channels(-low / (high - low)), _channels(1 / (high - low))


def _channels(values: torch.Tensor) -> Channels:
    # rounded, so that facts that were saved and measured again stay the same
    red, green, blue = (round(value, 6) for value in values.tolist())
    return red, green, blue
