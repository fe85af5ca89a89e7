"""Says in one line that a model does not fit into memory, before it has taken all there is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped,unused-ignore]
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from headstock.error_text import reason
from headstock.recipe.resolve import ResolvedRecipe
from headstock.trainer.step.out_of_memory import is_out_of_memory
from headstock_registry import HeadstockError


@contextmanager
def model_that_fits(resolved: ResolvedRecipe) -> Iterator[None]:
    """Stop the making of a model whose parameters need more memory than there is.

    The system hands out memory that it does not have, and ends processes when it is used. So parameters are counted as
    modules get them, which is before they are filled.

    Raises:
        HeadstockError: the model does not fit.
    """
    free = psutil.virtual_memory().available
    taken: dict[int, int] = {}

    def count(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        del module, name
        if parameter is not None and parameter.device.type == "cpu" and parameter.data_ptr() not in taken:
            taken[parameter.data_ptr()] = parameter.numel() * parameter.element_size()
            needed = sum(taken.values())
            if needed > free:
                raise MemoryError(f"it has parameters of over {needed / 1e9:.1f} GB where {free / 1e9:.1f} GB are free")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise HeadstockError(
            f"the model does not fit into memory: {reason(error)}; choose smaller sizes for backbone "
            f"'{resolved.backbone.entry.name}' and task '{resolved.task.entry.name}'"
        ) from error
    finally:
        handle.remove()
