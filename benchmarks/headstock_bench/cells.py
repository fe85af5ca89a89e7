"""A cell: one case of a suite with one seed, that is one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstock import HeadstockError, Metric, json_digest
from headstock.recipe.read import resolve_recipe
from headstock.recipe.settle import settle
from headstock_bench.suite import SuiteError
from headstock_registry import Catalogue

EXAMPLES = (100, 1_000, 10_000, 100_000)
PARAMETERS = 30_000_000
"""Of the data and the backbone for which a digest spells out the settings that a recipe leaves open."""


@dataclass(frozen=True)
class Cell:
    """One run of a suite.

    Attributes:
        case: The case's name.
        seed: The run's seed.
        content: The recipe, seed included, as the suite writes it.
        digest: Of the recipe with its options spelled out, those of the trainer that it leaves open for some numbers of
            examples; another digest is another measurement.
        metric: The task's first metric.
    """

    case: str
    seed: int
    content: dict[str, Any]
    digest: str
    metric: Metric

    def __str__(self) -> str:
        return f"{self.case} seed {self.seed}"


@dataclass(frozen=True)
class CellFiles:
    """Where a cell's files are.

    Attributes:
        run: The run directory.
        recipe: The recipe that is run.
        digest: The cell's digest, once its run has been started.
        log: What the run printed.
    """

    run: Path
    recipe: Path
    digest: Path
    log: Path

    @classmethod
    def of(cls, cell: Cell, out: Path) -> CellFiles:
        """Return the paths of a cell below the folder of results."""
        folder = out / "cells" / cell.case
        name = f"seed-{cell.seed}"
        return cls(folder / name, folder / f"{name}.yaml", folder / f"{name}.digest", folder / f"{name}.log")


def plan_cells(
    catalogue: Catalogue, suite: str, recipes: Mapping[str, dict[str, Any]], seeds: Sequence[int]
) -> list[Cell]:
    """Return the cells of all cases, in the suite's order, seeds one after the other.

    Every recipe is checked now, so that a mistake in the last case does not show up after hours.

    Args:
        catalogue: The installed plugins.
        suite: The suite's name.
        recipes: Recipe content by case, as :meth:`Suite.recipes` returns it.
        seeds: Seeds for each case.

    Raises:
        SuiteError: a recipe cannot be used; the message names its case.
    """
    cells = []
    for case, content in recipes.items():
        try:
            resolved = resolve_recipe(catalogue, content)
        except HeadstockError as error:
            raise SuiteError(f"suite '{suite}', case '{case}': {error}") from error
        spelled_out = resolved.recipe.model_dump(mode="json")
        spelled_out["trainer"] = [settle(resolved, examples, True, PARAMETERS).recipe.trainer for examples in EXAMPLES]
        for seed in seeds:
            digest = json_digest({**spelled_out, "seed": seed})
            cells.append(Cell(case, seed, {**content, "seed": seed}, digest, resolved.task.cls.metrics[0]))
    return cells


def digest_of_run(files: CellFiles) -> str | None:
    """Return the digest of the cell that a run directory was started for; None if there is no such run."""
    if not files.run.is_dir():
        return None
    return files.digest.read_text("utf-8") if files.digest.is_file() else ""
