"""LoRA, through the peft library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import peft
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import Field
from safetensors import SafetensorError
from torch import nn
from transformers.pytorch_utils import Conv1D

from headstock import Adapter, Backbone, Config, HeadstockError, TrainingFacts
from headstock_adapters.lora_files import read_lora
from headstock_adapters.lora_targets import choose_targets
from headstock_adapters.low_rank import LowRankLinear
from headstock_adapters.statistics import train_with_fixed_statistics
from headstock_adapters.wrapping import first_line, leave_fast_path, quiet

PLAIN = {kind.forward for kind in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, Conv1D)}
"""What layers do that take an update of their weight as it is."""


class LoraOptions(Config):
    """Options of :class:`Lora`."""

    r: int = Field(8, ge=1, le=4096, description="rank of the added matrices")
    alpha: int = Field(
        16, ge=1, le=65_536, description="the update is scaled by alpha / r, or with rslora by alpha / sqrt(r)"
    )
    dropout: float = Field(0.05, ge=0, lt=1, description="dropout on the input of the added matrices")
    target_modules: Literal["auto"] | Annotated[list[str], Field(min_length=1)] = Field(
        "auto",
        description="layers to adapt by name or last part of the name; auto: every linear layer of a transformers "
        "model, else every linear layer and every convolution without groups",
    )
    use_dora: bool = Field(False, description="also train the length of each weight vector (DoRA, Liu et al. 2024)")
    rslora: bool = Field(False, description="scale by alpha / sqrt(r), for large ranks (Kalajdzievski 2023)")


class Lora(Adapter):
    """Adds a trained low-rank update to layers of the frozen body.

    Files are peft's own, so that ``PeftModel.from_pretrained(AutoModel.from_pretrained(base), directory)`` loads them.
    Source: E. Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022.
    """

    Config = LoraOptions
    keeps_base: ClassVar[bool] = True

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return a learning rate for matrices that start from nothing."""
        del config, facts
        return {"learning_rate": 5e-4}

    def attach(self, backbone: Backbone) -> None:
        """Freeze the backbone and put a ``PeftModel`` in the place of its body.

        Raises:
            HeadstockError: the body has no layer to adapt, or not those that ``target_modules`` names.
        """
        backbone.requires_grad_(False)
        options: LoraOptions = self.config
        targets = choose_targets(backbone.body, options.target_modules, backbone.fixed_parts())
        config = peft.LoraConfig(
            r=options.r,
            lora_alpha=options.alpha,
            lora_dropout=options.dropout,
            target_modules=targets.wanted,
            exclude_modules=targets.excluded,
            use_dora=options.use_dora,
            use_rslora=options.rslora,
        )
        config._register_custom_module({nn.Linear: LowRankLinear})
        with quiet():
            try:
                backbone.body = peft.get_peft_model(backbone.body, config)
            except ValueError as error:
                raise HeadstockError(f"adapter 'lora' does not fit this backbone: {first_line(error)}") from error
        leave_fast_path(backbone)

    def set_mode(self, backbone: Backbone, training: bool) -> None:
        """Set the mode; running statistics belong to the frozen weights and stay as they are."""
        train_with_fixed_statistics(backbone, training)

    def merge(self, backbone: Backbone) -> None:
        """Add the low-rank updates to the weights that they belong to, and take peft's wrapper away.

        Raises:
            NotImplementedError: a wrapped layer does more with its weight than multiply by it (standardise it, say).
        """
        for module in backbone.body.modules():
            if isinstance(module, BaseTunerLayer):
                layer = module.get_base_layer()
                if type(layer).forward not in PLAIN:
                    raise NotImplementedError(f"an update of a {type(layer).__name__} cannot be added to its weight")
        backbone.body = backbone.body.merge_and_unload()  # type: ignore[operator]

    def save(self, backbone: Backbone, directory: Path) -> None:
        """Write ``adapter_config.json`` and ``adapter_model.safetensors`` as peft lays them."""
        # Embedding tables never change here; "auto" would ask the Hub whether they were resized.
        backbone.body.save_pretrained(str(directory), save_embedding_layers=False)  # type: ignore[operator]
        # A form with nothing filled in but the place of the base on this machine.
        (directory / "README.md").unlink(missing_ok=True)

    def load(self, backbone: Backbone, directory: Path) -> None:
        """Put a ``PeftModel`` with the saved matrices, all frozen, in the place of the body.

        Raises:
            HeadstockError: the files are missing, damaged or of another network.
        """
        config = read_lora(directory)
        backbone.requires_grad_(False)
        with quiet():
            try:
                backbone.body = peft.PeftModel.from_pretrained(
                    backbone.body, str(directory), config=config, torch_device="cpu"
                )
            except (OSError, ValueError, RuntimeError, SafetensorError, UserWarning) as error:
                raise HeadstockError(f"cannot load the adapter in {directory}: {first_line(error)}") from error
        leave_fast_path(backbone)
