"""Runs one of the reference scripts in ``loops/``: its name, then its arguments.

python benchmarks/peers/run_loop.py hf_text_classification benchmarks/peers/recipes/text_classification.yaml --seed 0
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = sorted(path.stem for path in (Path(__file__).parent / "loops").glob("[ht][fv]_*.py"))


def main() -> None:
    """Run the script that the first argument names."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        raise SystemExit(f"usage: {sys.argv[0]} {{{','.join(NAMES)}}} RECIPE [options]")
    name = sys.argv.pop(1)
    importlib.import_module(f"loops.{name}").main()


if __name__ == "__main__":
    main()
