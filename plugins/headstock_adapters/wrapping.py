"""What adapters share that put one of peft's wrappers in the place of a backbone's body."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from headstock import Backbone


def leave_fast_path(backbone: Backbone) -> None:
    """Make torch's transformer layers call their linear layers in evaluation mode too.

    Their fused path reads the weights of ``linear1`` and ``linear2`` and passes by what was added around them.
    """
    for module in backbone.body.modules():
        if isinstance(module, nn.TransformerEncoderLayer):
            module.activation_relu_or_gelu = 0


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back peft's notes to programmers (adjusted settings, deprecated calls), on which a user cannot act.

    One is more than a note: files that lack matrices. A half-loaded adapter must not pass, so that one is raised.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message="Found missing adapter keys")
        yield


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
