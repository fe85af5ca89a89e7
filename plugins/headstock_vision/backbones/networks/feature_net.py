"""A classification network of torchvision as a feature extractor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from headstock import HeadstockError

_STAGE_ROWS = ("encoder.layers", "trunk_output", "features", "layers", "blocks")
"""Where the networks keep their stages one after the other, so that they can be checkpointed."""

_NAMED_STAGES = ("layer", "stage", "Mixed_", "inception")
"""How stages are called in networks that have them as separate attributes."""


class FeatureNet(nn.Module):
    """A network without its classifier that also gives its last feature map.

    Args:
        network: A network of torchvision that makes class scores. It is changed: the layer that makes the scores is
            replaced by nothing, and so is the dropout just before it, which a task's head brings itself.

    Attributes:
        network: The network; its weights have torchvision's names.
        classifier: Name of the layer that was removed.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.classifier = _classifier_name(network)
        _remove(network, self.classifier)
        self.network = network
        self._seen: list[Tensor] = []
        self._watch()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last feature map (B, C, H, W) or sequence (B, T, C), and what the classifier saw (B, D)."""
        pooled = self.network(images)
        return self._seen.pop(), pooled

    def _watch(self) -> None:
        """Look at what the last pooling takes or, in networks that pool without a module, at what the trunk gives."""
        final = [*self.network.named_children(), *getattr(self.network, "classifier", nn.Module()).named_children()]
        pools = [module for _, module in final if isinstance(module, nn.AdaptiveAvgPool2d)]
        if pools:
            pools[-1].register_forward_pre_hook(self._see_input)
            return
        for name in ("features", "conv5", "layers", "encoder"):
            trunk = getattr(self.network, name, None)
            if trunk is not None:
                trunk.register_forward_hook(self._see_output)
                return
        raise HeadstockError(f"{type(self.network).__name__} has no trunk whose feature map could be used")

    def _see_input(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        del module
        self._seen.append(inputs[0])

    def _see_output(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        del module, inputs
        self._seen.append(output)

    def stages(self) -> Sequence[nn.Module]:
        """Return the parts, one after the other, that hold most of the network; none if it is not made of such."""
        for path in _STAGE_ROWS:
            try:
                row = self.network.get_submodule(path)
            except AttributeError:
                continue
            stages = [part for part in row.children() if any(True for _ in part.children())]
            if stages:
                return stages
        return [part for name, part in self.network.named_children() if name.startswith(_NAMED_STAGES)]


def _classifier_name(network: nn.Module) -> str:
    """Return the name of the layer that makes class scores: the last linear one, or in SqueezeNet a convolution."""
    for part in ("classifier", "fc", "head", "heads"):
        head = getattr(network, part, None)
        for kind in (nn.Linear, nn.Conv2d):
            layers = [] if head is None else [name for name, layer in head.named_modules() if isinstance(layer, kind)]
            if layers:
                return f"{part}.{layers[-1]}".rstrip(".")
    raise HeadstockError(f"{type(network).__name__} has no classifier that could be removed")


def _remove(network: nn.Module, name: str) -> None:
    parent_name, _, own_name = name.rpartition(".")
    parent = network.get_submodule(parent_name)
    children = list(parent.named_children())
    position = [child for child, _ in children].index(own_name)
    setattr(parent, own_name, nn.Identity())
    if position and isinstance(children[position - 1][1], nn.Dropout):
        setattr(parent, children[position - 1][0], nn.Identity())
