"""A linear layer with a low-rank update, as one step forward and one back."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers.integrations.fsdp import is_fsdp_managed_module


class _Cast(NamedTuple):
    """A frozen tensor in another precision, and what the tensor was when it was cast."""

    version: int
    address: int
    value: Tensor


class LowRankLinear(Linear):
    """peft's layer, with the same parameters and files, that trains with a third of the operations.

    peft casts the input to the matrices' precision and back, keeps what every operation needs, and the frozen weight
    is cast again at each step; with small batches that takes longer than the products. What is not the plain case
    (merged, several adapters, variants, quantised layers) is left to peft.
    """

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Return the layer's output, like peft: that of the frozen layer and the scaled update of the input."""
        name = self._plain()
        if name is None or args or kwargs:
            return super().forward(x, *args, **kwargs)
        kind = x.device.type
        autocast = torch.is_autocast_enabled(kind)
        precision = torch.get_autocast_dtype(kind) if autocast else x.dtype
        base: Any = self.get_base_layer()
        if base.weight.dtype != (torch.float32 if autocast else precision):
            return super().forward(x)
        update = self.lora_A[name].weight, self.lora_B[name].weight
        dropout = self.lora_dropout[name]
        probability = dropout.p if self.training and isinstance(dropout, nn.Dropout) else 0.0
        weight = self._cast("weight", base.weight, precision)
        bias = None if base.bias is None else self._cast("bias", base.bias, precision)
        flat = x.reshape(-1, x.shape[-1]).to(precision)
        result: Tensor = _LowRank.apply(flat, weight, bias, *update, self.scaling[name], probability)
        return result.view(*x.shape[:-1], -1)

    def _plain(self) -> str | None:
        """Return the one active adapter's name, or None if this is not the plain case."""
        if torch.compiler.is_compiling() or self.disable_adapters or self.merged or len(self.active_adapters) != 1:
            return None
        name: str = self.active_adapters[0]
        base = self.get_base_layer()
        plain = (
            name in self.lora_A
            and name not in self.lora_variant
            and self.lora_B[name].bias is None
            and isinstance(self.lora_dropout[name], nn.Dropout | nn.Identity)
            and type(base) is nn.Linear
            and not any(parameter.requires_grad for parameter in base.parameters())
        )
        return name if plain else None

    def _cast(self, name: str, frozen: Tensor, precision: torch.dtype) -> Tensor:
        """Return a frozen tensor in a precision, cast again only when it has changed or is sharded."""
        if frozen.dtype == precision:
            return frozen
        if is_fsdp_managed_module(self):  # a copy of what is put together for this pass alone would stay behind
            return frozen.detach().to(precision)
        casts: dict[str, _Cast] = self.__dict__.setdefault("_casts", {})
        known = casts.get(name)
        now = (frozen._version, frozen.data_ptr())
        if known is None or known[:2] != now or (known.value.dtype, known.value.device) != (precision, frozen.device):
            known = casts[name] = _Cast(*now, frozen.detach().to(precision))
        return known.value

    def __getstate__(self) -> dict[str, Any]:
        """Copies cast for themselves."""
        return {name: value for name, value in self.__dict__.items() if name != "_casts"}


class _LowRank(torch.autograd.Function):
    """``x W' + b + s · drop(x) A' B'`` with gradients to x, A and B, for W and b are frozen.

    Shapes: x (N, I), W (O, I), b (O), A (R, I), B (O, R). x, W and b are of one precision, in which all is computed.
    Without dropout, forward is to the bit what peft computes. Backward, products with a side of R are taken the way
    round in which R counts rows, the faster one on a CPU.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        first: Tensor,
        second: Tensor,
        scaling: float,
        probability: float,
    ) -> Tensor:
        # The scales of dropout and update go into the small matrices.
        low = (first / (1 - probability)).to(x.dtype)
        high = (second * scaling).to(x.dtype)
        kept = torch.empty_like(x).bernoulli_(1 - probability) if probability else None
        dropped = x if kept is None else x * kept
        inner = dropped @ low.t()
        result = nn.functional.linear(x, weight, bias)
        result.addmm_(inner, high.t())
        ctx.save_for_backward(weight, low, high, inner, dropped, kept)
        ctx.scales = (1 / (1 - probability), scaling)
        ctx.kinds = (first.dtype, second.dtype)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, low, high, inner, dropped, kept = ctx.saved_tensors
        at_inner = high.t().contiguous() @ gradient.t()
        at_first = (at_inner @ dropped).to(ctx.kinds[0]).mul_(ctx.scales[0])
        at_second = (inner.t() @ gradient).to(ctx.kinds[1]).mul_(ctx.scales[1]).t()
        at_x = None
        if ctx.needs_input_grad[0]:
            at_x = gradient @ weight
            if kept is None:
                at_x.addmm_(at_inner.t(), low)
            else:
                at_x.addcmul_(at_inner.t() @ low, kept)
        return at_x, None, None, at_first, at_second, None, None
