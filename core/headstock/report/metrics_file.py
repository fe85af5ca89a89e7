"""Reads ``metrics.jsonl``, what a run logged while it trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Return the records of a ``metrics.jsonl``."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
