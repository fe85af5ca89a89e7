"""Batch norms with fixed statistics, as part of the convolutions before them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


def fold_fixed_norms(network: nn.Module) -> None:
    """Let convolutions take over the batch norms right behind them whenever these use fixed statistics.

    Such a norm scales and shifts each channel, which a convolution can do by its weights and bias: so neither pass
    goes over the images once more, and what comes between the two is not kept for the gradient. Weights, scales and
    shifts are trained as before, for they are multiplied anew in each pass. Rows of modules (``nn.Sequential``) that
    begin with the two are meant; where one of them was exchanged or is watched by a hook, nothing changes.
    """
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1 and _folds(module[0], module[1], fixed=False):
            row: Any = module
            row.forward = partial(_forward, module, module.forward)


def _forward(row: nn.Sequential, plain: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    if not _folds(row[0], row[1], fixed=True):
        return plain(images)
    convolution: Any
    norm: Any
    convolution, norm, *rest = row
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    images = convolution._conv_forward(images, convolution.weight * scale.view(-1, 1, 1, 1), shift)
    for module in rest:
        images = module(images)
    return images


def _folds(convolution: nn.Module, norm: nn.Module, fixed: bool) -> bool:
    """Tell whether a convolution can take a norm over; if ``fixed``, whether the norm is as it has to be just now."""
    return (
        type(convolution) is nn.Conv2d
        and type(norm) is nn.BatchNorm2d
        and norm.affine
        and norm.running_var is not None
        and not (fixed and norm.training)
        and not any(_watched(module) for module in (convolution, norm))
    )


def _watched(module: nn.Module) -> bool:
    return bool(
        module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    )
