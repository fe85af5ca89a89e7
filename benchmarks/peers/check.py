"""Checks that both sides of the comparison are one and the same model on the same data.

python benchmarks/peers/check.py [TASK …]

For each task: as many examples in each split; as many parameters; and with the same weights, without dropout and
augmentation, the same loss on the same batch.
"""

from __future__ import annotations

import argparse
import importlib
import math
from pathlib import Path
from typing import NamedTuple

import tiny
import torch
from hf_common import read_job
from reference import SCRIPTS
from torch import Tensor
from transformers import set_seed

from headstock.console import Console
from headstock.engine.setup import build_module, prepare_data
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue

HERE = Path(__file__).parent
EXAMPLES = 16


class Likeness(NamedTuple):
    """How the two sides of a task relate.

    Attributes:
        renamed: What a beginning of Headstock's weight names is called on the other side.
        tolerance: How far the losses may lie apart, relatively.
    """

    renamed: dict[str, str]
    tolerance: float = 1e-4


LIKENESS = {
    "text_classification": Likeness({"backbone.body.": "encoder.", "head.1.": "classifier."}),
    "text_reviews": Likeness({"backbone.body.": "encoder.", "head.1.": "classifier."}),
    "text_lora": Likeness({"backbone.body.": "encoder.", "head.1.": "classifier."}),
    "text_probe": Likeness({"backbone.body.": "encoder.", "head.1.": "classifier."}),
    "text_tiny": Likeness({"backbone.body.": "encoder.", "head.1.": "classifier."}),
    "token_classification": Likeness({"backbone.body.": "encoder.", "head.1.": "classifier."}),
    # Pillow and torchvision round differently when they resize
    "image_classification": Likeness({"backbone.body.network.": "network.", "head.1.": "network.classifier.1."}, 2e-2),
    "speech_recognition": Likeness({"backbone.": "encoder.", "head.1.": "classifier."}),
}


def check(task: str) -> str:
    """Compare both sides and return a line that says how like they are.

    Raises:
        AssertionError: they are not.
    """
    tiny.make()
    recipe, likeness = HERE / "recipes" / f"{task}.yaml", LIKENESS[task]
    resolved = resolve_recipe(load_catalogue(), recipe, ["trainer.device=cpu"])
    data = prepare_data(resolved, Console(quiet=True))
    ours = build_module(resolved, data).eval()
    set_seed(resolved.seed)
    reference = importlib.import_module(f"loops.hf_{SCRIPTS.get(task, task)}").prepare(read_job(recipe))
    theirs = reference.model.eval()

    sizes = [{name: len(split) for name, split in splits.items()} for splits in (data.splits, reference.splits)]
    assert sizes[0] == sizes[1], f"{task}: examples differ: {sizes}"
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (ours, theirs)]
    assert counts[0] == counts[1], f"{task}: parameters differ: {counts}"
    theirs.load_state_dict(_rename(ours.state_dict(), likeness.renamed), strict=True)

    validation = reference.splits["validation"]
    with torch.no_grad():
        loss = ours(data.splits["validation"].batch(range(EXAMPLES), ours.backbone, ours.task)).loss
        assert loss is not None
        mine = float(loss.total / loss.count)
        other = float(theirs(**reference.collator([validation[number] for number in range(EXAMPLES)]))["loss"])
    assert math.isclose(mine, other, rel_tol=likeness.tolerance), f"{task}: losses differ: {mine} and {other}"
    return f"{task}: {counts[0]:,} parameters on both sides, loss {mine:.6f} and {other:.6f}"


def _rename(state: dict[str, Tensor], beginnings: dict[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for name, value in state.items():
        old = next((beginning for beginning in beginnings if name.startswith(beginning)), None)
        assert old is not None, f"no counterpart is known for {name}"
        renamed[beginnings[old] + name.removeprefix(old)] = value
    return renamed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Check that both sides are the same model on the same data.")
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"of {', '.join(LIKENESS)}; default: all")
    for chosen in parser.parse_args().tasks or LIKENESS:
        print(check(chosen), flush=True)
