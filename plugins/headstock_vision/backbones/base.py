"""What all image backbones share: options, pixels in, normalisation, cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as image_ops

from headstock import Backbone, Config, Example, HeadstockError, file_digest, reason
from headstock_vision import decode

Channels = tuple[float, float, float]
Result = TypeVar("Result")

IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)


class ImageConfig(Config):
    """Options of every image backbone."""

    image_size: int | None = Field(
        None, ge=8, le=4096, description="height and width of what the network sees; default: what it was pretrained on"
    )
    resize: Literal["crop", "squash"] = Field(
        "crop",
        description="'crop' keeps proportions and loses the ends of the longer side; 'squash' keeps all and distorts",
    )
    mean: Channels | None = Field(
        None, description="mean of each channel, pixels in 0…1; default: what the network was pretrained with"
    )
    std: Channels | None = Field(
        None, description="deviation of each channel, pixels in 0…1; default: what the network was pretrained with"
    )


class ImageFacts(NamedTuple):
    """How a network wants its images: size in pixels, mean and deviation of channels in 0…1, and how to resize."""

    image_size: int
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def overridden(self, config: ImageConfig) -> ImageFacts:
        """Return these facts with what the user set in their place.

        Raises:
            HeadstockError: a deviation is not above zero.
        """
        facts = self._replace(
            image_size=config.image_size or self.image_size, mean=config.mean or self.mean, std=config.std or self.std
        )
        if min(facts.std) <= 0:
            raise HeadstockError(f"backbone.std must be above 0 in every channel, not {list(facts.std)}")
        return facts


class ImageBackbone(Backbone):
    """Base of image backbones.

    A preprocessed example is ``pixels``: uint8 (3, size, size). A subclass turns normalised pixels into features.

    Args:
        config: The backbone's options.
        facts: How the network wants its images, the user's options included.

    Attributes:
        fixed_statistics: Batch norms keep the mean and variance that they have, in training too. Their scales and
            shifts are trained all the same. Then an example's features never depend on its neighbours.
    """

    modality: ClassVar[str] = "image"
    thread_safe: ClassVar[bool] = True
    cost_unit: ClassVar[str] = "pixels"
    config: ImageConfig
    fixed_statistics: bool = False

    def __init__(self, config: ImageConfig, facts: ImageFacts) -> None:
        super().__init__(config)
        self.facts = facts
        # for pixels in 0…255; these are options and not weights, so they are not saved
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", 255 * torch.tensor(facts.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(facts.std).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; batch norms with fixed statistics stay in evaluation."""
        super().train(mode)
        if self.fixed_statistics:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``pixels``, uint8 (3, size, size), of ``{"image": value}`` (values: ``decode.decode_image``).

        A task that asks for the ``whole`` image (``{"image": value, "whole": True}``) gets it squashed whatever the
        options say, and ``size``, height and width (2,) that it had.
        """
        pixels = decode.decode_image(inputs["image"])
        whole = bool(inputs.get("whole"))
        before = {"size": torch.tensor(pixels.shape[1:], dtype=torch.int32)} if whole else {}
        if self.config.resize == "crop" and not whole:
            # the square is cut before resizing: the same pixels, and a panorama never grows in between
            pixels = image_ops.center_crop(pixels, [min(pixels.shape[1:])] * 2)
        size = [self.facts.image_size] * 2
        mode = InterpolationMode(self.facts.interpolation)
        return {"pixels": image_ops.resize(pixels, size, interpolation=mode, antialias=True), **before}

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what makes the pixels; weights and other options do not, so that runs share the cache."""
        return {
            "size": self.facts.image_size,
            "interpolation": self.facts.interpolation,
            "resize": self.config.resize,
            "decoder": file_digest(Path(decode.__file__)),
        }

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return ``pixels``, uint8 (B, 3, size, size), and for whole images their ``size`` (B, 2)."""
        return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}

    def cost(self, example: Example) -> int:
        """Return the number of pixels, height times width."""
        return int(example["pixels"].shape[1] * example["pixels"].shape[2])

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return normalised pixels, float32 (B, 3, size, size)."""
        return (inputs["pixels"].to(self.mean.dtype) - self.mean) / self.std

    @torch.no_grad()
    def probe(self, function: Callable[[dict[str, Tensor]], Result]) -> Result:
        """Return what ``function`` makes of a batch of one grey image, by which a new backbone learns its own widths.

        Raises:
            HeadstockError: the network cannot take images of this size.
        """
        size = self.facts.image_size
        grey = self.collate([{"pixels": torch.full((3, size, size), 127, dtype=torch.uint8)}])
        training = self.training
        self.eval()
        try:
            return function(grey)
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise HeadstockError(
                f"the network does not take images of {size}x{size} pixels: {reason(error)}"
            ) from error
        finally:
            self.train(training)


def flatten_map(values: Tensor) -> Tensor:
    """Turn a feature map (B, D, H, W) into a sequence (B, H*W, D)."""
    return values.flatten(2).transpose(1, 2)


def all_true(sequence: Tensor) -> Tensor:
    """Return the mask (B, T) of a sequence without padding."""
    return torch.ones(sequence.shape[:2], dtype=torch.bool, device=sequence.device)
