"""Finds where attention and the feed-forward part of each block of a transformer end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import nn

from headstock import HeadstockError
from headstock_adapters.lora_targets import uncalled


class Place(NamedTuple):
    """A module after whose output a bottleneck stands.

    Attributes:
        name: Its full name.
        size: Size of the vectors that it gives.
    """

    name: str
    size: int


class Block(NamedTuple):
    """A block's places: after each of its attentions, and after its feed-forward part."""

    attentions: tuple[Place, ...]
    feed_forward: Place


def find_blocks(body: nn.Module, fixed: Sequence[nn.Module] = ()) -> list[Block]:
    """Return the places in all blocks of a transformer, whoever wrote it.

    A block is an element of a list of modules that holds modules named ``…Attention`` and linear layers outside of
    them. The last linear layer of an attention is its output projection, the last one outside of all attentions the
    end of the feed-forward part; both give vectors of one size. Where an attention reads its projection's weight
    without calling the layer, the place is the attention itself.

    Args:
        body: The network.
        fixed: Parts of it that stay as they are.

    Raises:
        HeadstockError: there is no such block.
    """
    kept = {id(module) for part in fixed for module in part.modules()}
    passed_by = set(uncalled(body))
    found: dict[str, Block] = {}
    for name, modules in body.named_modules():
        if isinstance(modules, nn.ModuleList):
            for index, module in enumerate(modules):
                block = None if id(module) in kept else _block(module, f"{name}.{index}", passed_by)
                if block is not None:
                    found[f"{name}.{index}"] = block
    # A stage of blocks looks like a block.
    blocks = [block for name, block in found.items() if not any(inner.startswith(f"{name}.") for inner in found)]
    if not blocks:
        raise HeadstockError(
            f"adapter 'bottleneck' stands in the blocks of a transformer, and the backbone's {type(body).__name__} has "
            "none; take adapter 'lora' or 'bitfit'"
        )
    return blocks


def _block(module: nn.Module, name: str, passed_by: set[str]) -> Block | None:
    """Return the places in a module of a list, if it has attention and something after it."""
    attentions: dict[str, nn.Module] = {}
    for path, part in module.named_modules():
        inside = any(path.startswith(f"{outer}.") for outer in attentions)
        if path and not inside and type(part).__name__.endswith("Attention"):
            attentions[path] = part
    beside = [
        (path, part)
        for path, part in module.named_modules()
        if isinstance(part, nn.Linear) and not any(path.startswith(f"{outer}.") for outer in attentions)
    ]
    if not attentions or not beside:
        return None
    path, last = beside[-1]
    end = Place(f"{name}.{path}", last.out_features)
    found = []
    for path, attention in attentions.items():
        linear = {inner: part for inner, part in attention.named_modules() if isinstance(part, nn.Linear)}
        if any(f"{name}.{path}.{inner}" in passed_by for inner in linear):
            found.append(Place(f"{name}.{path}", end.size))
            continue
        inner = next(reversed(linear), "")
        if not inner or linear[inner].out_features != end.size:
            return None
        found.append(Place(f"{name}.{path}.{inner}", end.size))
    return Block(tuple(found), end)
