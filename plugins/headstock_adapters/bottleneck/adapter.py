"""The adapter ``bottleneck``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor, nn

from headstock import Adapter, Backbone, Config, HeadstockError, TrainingFacts
from headstock.kits.weights import WEIGHTS_FILE, load_weights, save_weights
from headstock_adapters.bottleneck.places import Place, find_blocks
from headstock_adapters.statistics import train_with_fixed_statistics
from headstock_adapters.wrapping import leave_fast_path

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}
NAME = "bottleneck"


class BottleneckOptions(Config):
    """Options of :class:`BottleneckAdapter`."""

    kind: Literal["houlsby", "pfeiffer"] = Field(
        "pfeiffer",
        description="houlsby: after attention and feed-forward part of each block; pfeiffer: after the latter alone",
    )
    reduction: float = Field(
        16, ge=1, le=4096, description="how many times smaller than the backbone's vectors the bottleneck is"
    )
    size: int | None = Field(
        None, ge=1, le=65_536, description="size of the bottleneck, in place of reduction; null: as reduction says"
    )
    activation: Literal["gelu", "relu", "silu", "tanh"] = Field("gelu", description="function between the two matrices")

    @model_validator(mode="after")
    def _one_size(self) -> BottleneckOptions:
        if self.size is not None and "reduction" in self.model_fields_set and self.reduction != 16:
            raise ValueError("adapter.size and adapter.reduction both say how small the bottleneck is; leave one out")
        return self


class Bottleneck(nn.Module):
    """``h + W_up act(W_down h + b_down) + b_up``; zero at the start, so that it gives what it takes."""

    def __init__(self, size: int, inner: int, activation: str) -> None:
        super().__init__()
        self.down = nn.Linear(size, inner)
        self.activation = ACTIVATIONS[activation]()
        self.up = nn.Linear(inner, size)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Return vectors (…, D) of vectors (…, D)."""
        added: Tensor = states + self.up(self.activation(self.down(states)))
        return added


class BottleneckAdapter(Adapter):
    """Puts small layers into the blocks of a frozen transformer, before each residual connection, and trains those.

    Layer norms stay frozen, as Pfeiffer et al. have it. Sources: N. Houlsby et al., "Parameter-Efficient Transfer
    Learning for NLP", ICML 2019; J. Pfeiffer et al., "AdapterFusion", EACL 2021.
    """

    Config = BottleneckOptions
    config: BottleneckOptions
    keeps_base: ClassVar[bool] = True

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return the upper end of the rates that Houlsby et al. search; measured too, see ``benchmarks/adapters``."""
        del config, facts
        return {"learning_rate": 3e-3}

    def attach(self, backbone: Backbone) -> None:
        """Freeze the backbone and let a new layer follow the places in its blocks.

        Raises:
            HeadstockError: the body has no blocks of attention and a feed-forward part.
        """
        backbone.requires_grad_(False)
        for place in self._places(backbone):
            inner = self.config.size or max(1, round(place.size / self.config.reduction))
            module = backbone.body.get_submodule(place.name)
            weight = next(module.parameters())
            layer = Bottleneck(place.size, inner, self.config.activation).to(weight.device, weight.dtype)
            module.add_module(NAME, layer)
            module.register_forward_hook(_follow)
        leave_fast_path(backbone)

    def set_mode(self, backbone: Backbone, training: bool) -> None:
        """Set the mode; running statistics belong to the frozen weights and stay as they are."""
        train_with_fixed_statistics(backbone, training)

    def merge(self, backbone: Backbone) -> None:
        """Raise, for no layer of the backbone could take in a function that is not linear.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("a bottleneck is not linear, and no layer can take it in")

    def save(self, backbone: Backbone, directory: Path) -> None:
        """Write the new layers to ``model.safetensors``, each under the name of the module that it follows."""
        save_weights(self._layers(backbone), directory)

    def load(self, backbone: Backbone, directory: Path) -> None:
        """Attach what :meth:`save` wrote, frozen.

        Raises:
            HeadstockError: the file is missing, damaged, of another network or of other options.
        """
        if not (directory / WEIGHTS_FILE).is_file():
            raise HeadstockError(f"cannot load the adapter: {directory} has no {WEIGHTS_FILE}")
        self.attach(backbone)
        load_weights(self._layers(backbone), directory)
        backbone.requires_grad_(False)

    def _places(self, backbone: Backbone) -> list[Place]:
        blocks = find_blocks(backbone.body, backbone.fixed_parts())
        after_attention = self.config.kind == "houlsby"
        return [
            place for block in blocks for place in (*(block.attentions if after_attention else ()), block.feed_forward)
        ]

    def _layers(self, backbone: Backbone) -> nn.ModuleDict:
        """Return the new layers by the names of what they follow; a dict of modules takes no dots in names."""
        followed = (name for name, module in backbone.body.named_modules() if hasattr(module, NAME))
        return nn.ModuleDict(
            {name.replace(".", "/"): backbone.body.get_submodule(f"{name}.{NAME}") for name in followed}
        )


def _follow(module: nn.Module, given: Any, output: Any) -> Any:
    """Return what a module gives after the layer that follows it; of several things, attention gives states first."""
    layer = module.get_submodule(NAME)
    if isinstance(output, tuple):
        return (layer(output[0]), *output[1:])
    return layer(output)
