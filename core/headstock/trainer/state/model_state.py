"""What training changes of a model, taken out and put back."""

from __future__ import annotations

from torch import Tensor, nn

from headstock_registry import HeadstockError


def trained_state(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: parameters that require a gradient, and all buffers."""
    state = model.state_dict()
    buffers = {name: value for name, value in model.named_buffers() if name in state}
    return {name: value.detach() for name, value in model.named_parameters() if value.requires_grad} | buffers


def moving_buffers(model: nn.Module) -> list[Tensor]:
    """Return the buffers that training may move: those of modules in training mode (running means and variances)."""
    return [buffer for module in model.modules() if module.training for buffer in module.buffers(recurse=False)]


def load_state(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put back what :func:`trained_state` returned.

    Raises:
        HeadstockError: the tensors are those of another model.
    """
    own = model.state_dict()
    # load_state_dict raises on another shape, whatever strict says.
    differing = {name for name, value in tensors.items() if name in own and own[name].shape != value.shape}
    differing |= set(trained_state(model)) - set(tensors)
    if not differing:
        differing |= set(model.load_state_dict(tensors, strict=False).unexpected_keys)
    if differing:
        names = ", ".join(sorted(differing)[:3])
        raise HeadstockError(f"the checkpoint is of another model (differs in {names}); start again with --force")
