"""What the processes of ``test_several_ranks.py`` do: runs from a JSON file, one after the other.

With ``stop_at`` one rank gets SIGTERM at that step.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import headstock
from headstock.ranks import group
from headstock.trainer.replicas import SharedGradient

setattr(group, "GRACE", 0.5)  # noqa: B010 - not long to wait here
accumulate = SharedGradient.accumulate

for work in json.loads(Path(sys.argv[1]).read_text("utf-8")):
    stop_at = work.pop("stop_at", None)

    def stopping(self: SharedGradient, batches: Any, step: int, stop_at: int | None = stop_at) -> Any:
        if step == stop_at and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return accumulate(self, batches, step)

    SharedGradient.accumulate = stopping  # type: ignore[method-assign]
    result = headstock.run(**work)
    print(json.dumps([os.environ["RANK"], str(result.path), result.after.metrics["accuracy"]]), flush=True)
