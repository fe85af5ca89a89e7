"""What the processes of ``test_several_ranks.py`` do: runs from a JSON file, one after the other.

With ``stop_at`` one rank gets SIGTERM at that step. Where a model is sharded, each rank says how much it holds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

import headstock
from headstock.distributed import group
from headstock.trainer.parallel import fsdp
from headstock.trainer.parallel.ddp import DistributedGradient

setattr(group, "GRACE", 0.5)  # noqa: B010 - not long to wait here
setattr(fsdp, "MIN_LAYER_PARAMETERS", 1000)  # noqa: B010 - the models here are small
accumulate = DistributedGradient.accumulate
shard = fsdp.shard


def say(value: Any) -> None:
    """Print a line of JSON in one piece: the processes share standard output, and print writes line ends apart."""
    os.write(sys.stdout.fileno(), f"{json.dumps(value)}\n".encode())


def saying(model: nn.Module, layered: nn.Module, *others: Any) -> list[str]:
    changed = shard(model, layered, *others)
    layers = sum(isinstance(module, FSDPModule) for module in layered.modules())
    held = sum(each.to_local().numel() for each in model.parameters() if isinstance(each, DTensor))
    say({"layers": layers, "held": held})
    return changed


setattr(fsdp, "shard", saying)  # noqa: B010 - it is the same for mypy, and says so for ruff

for work in json.loads(Path(sys.argv[1]).read_text("utf-8")):
    stop_at = work.pop("stop_at", None)

    def stopping(self: DistributedGradient, batches: Any, step: int, stop_at: int | None = stop_at) -> Any:
        if step == stop_at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return accumulate(self, batches, step)

    DistributedGradient.accumulate = stopping  # type: ignore[method-assign]
    try:
        result = headstock.run(**work)
    except headstock.HeadstockError:
        # Where one process fails torchrun ends the other, which may not have said yet how it ended.
        traceback.print_exc()
        break
    say([os.environ["RANK"], str(result.path), result.after.metrics["accuracy"]])
