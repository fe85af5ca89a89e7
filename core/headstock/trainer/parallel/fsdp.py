"""Parameters sharded over the ranks, for models that do not fit on one device (FSDP2, torch's ``fully_shard``).

Each rank keeps its shard of every parameter, gradient and optimizer state. A layer's parameters are gathered when it
runs and freed after. Checkpoints hold the shards (:mod:`headstock.trainer.state.sharded_files`); the tuned model is
whole.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.export import register_dataclass

from headstock.distributed import Ranks
from headstock.interfaces import Loss, StepOutput
from headstock_registry import HeadstockError

for kind in (Loss, StepOutput):
    # torch has to see the tensors in what a model returns: from them it learns when the backward pass begins.
    register_dataclass(kind)

MIN_LAYER_PARAMETERS = 200_000
"""Parameters of a layer from which on it is gathered by itself; smaller ones wait less for each other together."""


def shard(model: nn.Module, layered: nn.Module, ranks: Ranks, device: torch.device) -> list[str]:
    """Shard a model's parameters over the ranks, in place, and move this rank's shard to its device.

    A layer is what a list or sequence of modules in ``layered`` holds, the outermost one. What is in none of them is
    gathered for as long as ``model`` runs, so that it may be called from there in any way.

    Layers that are left out at random are all run from now on: ranks that leave out others would wait for each other.

    Args:
        model: Called as a whole, by all ranks equally often; the same on all of them, and on the CPU if it does not
            fit elsewhere.
        layered: The part of it whose layers are all run whenever ``model`` is.
        ranks: The processes of the run.
        device: Where this rank computes.

    Returns:
        What was changed by that, as ``name value`` for the console.

    Raises:
        HeadstockError: a parameter that is to be trained is a scalar, which cannot be sharded.
    """
    # Nothing here changes a model's output in place, which is what torch warns of at each view that is returned.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor", UserWarning)
    changed = sorted(set(_run_all_layers(model)))
    scalars = _scalar_parameters(model, device)
    mesh = init_device_mesh(device.type, (ranks.size,))
    for part in (*_layers(layered, _tied_parameters(model)), model):
        sharded = fully_shard(part, mesh=mesh, reshard_after_forward=True, ignored_params=scalars)
        # Some layers use a part of their parameters at a time, not the same one on all ranks.
        sharded.set_reduce_scatter_unused_params(True, recurse=False)
    return changed


def is_sharded(model: nn.Module) -> bool:
    """Tell whether :func:`shard` was here."""
    return isinstance(model, FSDPModule)


def shard_tensors(tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return this rank's shards of whole tensors that every rank has.

    Args:
        tensors: Whole ones; a rank keeps what it needs of them.
        parameters: By the same names, the parameters they are for or belong to. What has another shape stays whole.
    """
    return {name: _shard_like(value, parameters.get(name)) for name, value in tensors.items()}


def _shard_like(value: Tensor, parameter: Tensor | None) -> Tensor:
    if not isinstance(parameter, DTensor) or parameter.shape != value.shape:
        return value
    mesh, placements = parameter.device_mesh, parameter.placements
    return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)


def gather(model: nn.Module, ranks: Ranks) -> None:
    """Replace sharded parameters by plain tensors: whole ones on the CPU of the first rank, empty elsewhere.

    All ranks take part. The model can be saved then, on the first rank, but not called any more.
    """
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if isinstance(parameter, DTensor):
                if id(parameter) not in made:
                    found = parameter.detach().full_tensor().cpu()
                    value = found if ranks.first else torch.empty(0)
                    made[id(parameter)] = nn.Parameter(value, requires_grad=parameter.requires_grad)
                module._parameters[name] = made[id(parameter)]


def _scalar_parameters(model: nn.Module, device: torch.device) -> set[nn.Parameter]:
    """Return the parameters without dimensions, which stay as they are, moved to the device."""
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.ndim == 0}
    for name, parameter in found.items():
        if parameter.requires_grad:
            raise HeadstockError(f"trainer.fsdp cannot shard '{name}', a scalar; leave out trainer.fsdp")
        parameter.data = parameter.data.to(device)
    return set(found.values())


def _tied_parameters(model: nn.Module) -> set[int]:
    """Return the ids of parameters that are tied: several modules of the model have them."""
    uses = Counter(id(each) for module in model.modules() for each in module._parameters.values() if each is not None)
    return {parameter for parameter, count in uses.items() if count > 1}


def _layers(module: nn.Module, tied: set[int]) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList | nn.Sequential):
            yield from (layer for layer in child if _stands_alone(layer, tied))
        else:
            yield from _layers(child, tied)


def _stands_alone(layer: nn.Module, tied: set[int]) -> bool:
    """Tell whether a layer is worth gathering by itself, and nothing outside of it needs its parameters."""
    if isinstance(layer, nn.ModuleList | nn.ModuleDict | nn.ParameterList | nn.ParameterDict):
        return False
    parameters = list(layer.parameters())
    large = sum(parameter.numel() for parameter in parameters) >= MIN_LAYER_PARAMETERS
    return large and not any(id(parameter) in tied for parameter in parameters)


def _run_all_layers(model: nn.Module) -> Iterator[str]:
    """Set what libraries call layerdrop (Fan et al. 2020) to zero wherever it is kept."""
    for module in model.modules():
        for owner in (module, getattr(module, "config", None)):
            kept: dict[str, Any] = getattr(owner, "__dict__", {})
            for name, value in list(kept.items()):
                if name.endswith("layerdrop") and isinstance(value, float) and value > 0:
                    setattr(owner, name, 0.0)
                    yield f"{name} {value:g}"
