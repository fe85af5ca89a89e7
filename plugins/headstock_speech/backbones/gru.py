"""A gated recurrent layer for the CPU: one product for the gradient of the weights, instead of one for each frame."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn


class GRU(nn.GRU):
    """``torch.nn.GRU`` of one layer in one direction that trains faster on a CPU, with the same weights and numbers.

    torch differentiates such a layer in eager mode: at each position of the sequence it multiplies for the weights'
    gradient and adds the product to the sum. Here a position costs three operations in the backward pass, and the
    weights' gradient is one product over all positions. The numbers are those of torch but for the order of sums,
    in float32 under autocast too. Packed sequences, inference, GPUs, which have kernels of their own, and compiled
    models take torch's way.

    Args:
        inputs: Size of the inputs.
        hidden: Size of the states.
        batch_first: Whether sequences are (B, T, D) instead of (T, B, D).
        bias: Whether there are biases.
    """

    def __init__(self, inputs: int, hidden: int, *, batch_first: bool = False, bias: bool = True) -> None:
        super().__init__(inputs, hidden, batch_first=batch_first, bias=bias)

    def forward(self, input: Any, hx: Tensor | None = None) -> Any:
        """Return the states after each position and the last one, (1, B, hidden), as ``torch.nn.GRU`` does."""
        if not self._is_eligible(input, hx):
            return super().forward(input, hx)
        weights = cast("list[Tensor]", self._flat_weights)
        inputs = input.transpose(0, 1) if self.batch_first else input
        first = inputs.new_zeros(inputs.shape[1], self.hidden_size) if hx is None else hx[0]
        outputs = _Gru.apply(inputs, first, *weights)
        return outputs.transpose(0, 1) if self.batch_first else outputs, outputs[-1:]

    def _is_eligible(self, inputs: Any, first: Tensor | None) -> bool:
        weights = cast("list[Tensor]", self._flat_weights)
        return (
            isinstance(inputs, Tensor)  # not a packed sequence
            and not torch.compiler.is_compiling()
            and inputs.ndim == 3
            and inputs.device.type == "cpu"
            and inputs.numel() > 0
            and inputs.dtype == weights[0].dtype == torch.float32
            and torch.is_grad_enabled()
            and any(tensor.requires_grad for tensor in (inputs, *weights, *(() if first is None else (first,))))
        )


class _Gru(torch.autograd.Function):
    """A gated recurrent unit over a sequence (Cho et al. 2014), with torch's order of gates: reset, update, new.

    Shapes: positions T, examples B, inputs D, states H.
    """

    @staticmethod
    @torch.amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)  # type: ignore[untyped-decorator]
    def forward(ctx: Any, inputs: Tensor, first: Tensor, weight_in: Tensor, weight: Tensor, *biases: Tensor) -> Tensor:
        """Return the states (T, B, H) after each of the inputs (T, B, D), from a first one (B, H)."""
        length, size, hidden = *inputs.shape[:2], first.shape[1]
        bias_in, bias = biases or (None, inputs.new_zeros(3 * hidden))
        given = torch.nn.functional.linear(inputs, weight_in, bias_in)
        # What the product with a state is added to. The new state's input has to wait for the reset gate.
        start = given + bias
        start[..., 2 * hidden :] = bias[2 * hidden :]
        kept = torch.empty_like(given)
        new, outputs = (inputs.new_empty(length, size, hidden) for _ in range(2))
        by_place = (
            start,
            kept,
            kept[..., : 2 * hidden],
            *kept.chunk(3, 2),
            given[..., 2 * hidden :],
            new,
            outputs,
        )
        turned, state = weight.t(), first
        for before, whole, gates, reset, update, own, from_input, candidate, output in zip(*by_place, strict=True):
            torch.addmm(before, state, turned, out=whole)
            gates.sigmoid_()
            torch.addcmul(from_input, reset, own, out=candidate).tanh_()
            state = torch.lerp(candidate, state, update, out=output)
        ctx.save_for_backward(inputs, first, weight_in, weight, *biases, kept, new, outputs)
        return outputs

    @staticmethod
    @torch.amp.custom_bwd(device_type="cpu")  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of all arguments."""
        *given, kept, new, outputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # this gradient will be differentiated in its turn
            return tuple(_differentiably(given, gradient))
        inputs, first, weight_in, weight, *biases = given
        length, size, hidden = new.shape
        reset, update, own = kept.chunk(3, dim=2)
        before = torch.cat((first.unsqueeze(0), outputs[:-1]))
        # By what the gradient of a state becomes that of each gate before its bend.
        to_new = (1 - update) * (1 - new * new)
        to_gates = torch.stack(
            (to_new * own * reset * (1 - reset), (before - new) * update * (1 - update), to_new * reset), dim=2
        )
        of_gates, of_states = torch.empty_like(to_gates), torch.empty_like(new)
        rows = of_gates.view(length, size, 3 * hidden)
        state = of_states[-1].copy_(gradient[-1])
        for position in range(length - 1, -1, -1):
            torch.mul(state.unsqueeze(1), to_gates[position], out=of_gates[position])
            if position:
                earlier = torch.addcmul(gradient[position - 1], state, update[position])
                state = torch.addmm(earlier, rows[position], weight, out=of_states[position - 1])
        of_first = torch.addmm(state * update[0], rows[0], weight)
        of_weight = rows.flatten(0, 1).t() @ before.flatten(0, 1)
        of_bias = rows.sum(dim=(0, 1)) if biases else None
        of_gates[:, :, 2] = of_states * to_new  # the input comes to it past the reset gate
        of_weight_in = rows.flatten(0, 1).t() @ inputs.flatten(0, 1)
        of_inputs = rows @ weight_in if ctx.needs_input_grad[0] else None
        of_biases = (rows.sum(dim=(0, 1)), of_bias) if biases else ()
        return of_inputs, of_first, of_weight_in, of_weight, *of_biases


def _differentiably(given: list[Tensor], gradient: Tensor) -> list[Tensor | None]:
    """Return the gradients of what a layer was given, by torch's own operations."""
    inputs, first, *weights = given
    outputs, _ = torch._VF.gru(inputs, first.unsqueeze(0), weights, len(weights) == 4, 1, 0.0, True, False, False)
    needed = [tensor for tensor in given if tensor.requires_grad]
    found = iter(torch.autograd.grad(outputs, needed, gradient, create_graph=True))
    return [next(found) if tensor.requires_grad else None for tensor in given]
