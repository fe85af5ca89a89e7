from pathlib import Path
from typing import Any

import pytest

from headstock_bench.cells import Cell, CellFiles, digest_of_run, plan_cells
from headstock_bench.suite import Case, Suite, SuiteError
from headstock_registry import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def suite(**options: Any) -> Suite:
    return Suite(name="mine", summary="for a test", cases={"a": Case(task="text-classification", **options)})


def only(cells: list[Cell]) -> Cell:
    (cell,) = cells
    return cell


def test_a_cell_for_each_case_and_seed(catalogue: Catalogue) -> None:
    both = suite().model_copy(
        update={"cases": {"a": Case(task="text-classification"), "b": Case(task="token-classification")}}
    )
    cells = plan_cells(catalogue, "mine", both.recipes(), (3, 5))
    assert [(cell.case, cell.seed) for cell in cells] == [("a", 3), ("a", 5), ("b", 3), ("b", 5)]
    assert cells[0].content == {"task": {"name": "text-classification"}, "seed": 3}
    assert [cell.metric.name for cell in cells] == ["accuracy", "accuracy", "f1", "f1"]
    assert len({cell.digest for cell in cells}) == 4


def test_the_digest_is_of_what_is_run_not_of_how_it_is_written(catalogue: Catalogue) -> None:
    def digest(**options: Any) -> str:
        return only(plan_cells(catalogue, "mine", suite(**options).recipes(), (0,))).digest

    plain = digest()
    assert digest(trainer={"weight_decay": 0.01}) == plain  # spells out a default
    assert digest(adapter={"name": "full"}) == plain
    assert digest(trainer={"batch_size": 16}) != plain
    assert digest(data={"limit": 9}) != plain


def test_the_digest_is_found_again_in_the_run_directory(catalogue: Catalogue, tmp_path: Path) -> None:
    cell = only(plan_cells(catalogue, "mine", suite(trainer={"learning_rate": 3e-4}).recipes(), (7,)))
    files = CellFiles.of(cell, tmp_path)
    assert digest_of_run(files) is None
    files.run.mkdir(parents=True)
    assert digest_of_run(files) == ""  # of something else, or begun by an earlier version
    files.digest.write_text(cell.digest, "utf-8")
    assert digest_of_run(files) == cell.digest


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trainer": {"epoch": 3}}, "suite 'mine', case 'a': unknown option 'trainer.epoch'; did you mean"),
        ({"backbone": "texcnn"}, "suite 'mine', case 'a': no backbone named 'texcnn' is installed"),
        ({"adapter": {"name": "lora", "rank": 3}}, "suite 'mine', case 'a': unknown option 'adapter.rank'"),
    ],
)
def test_a_recipe_at_fault_is_told_before_anything_runs(
    catalogue: Catalogue, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SuiteError) as error:
        plan_cells(catalogue, "mine", suite(**options).recipes(), (0,))
    assert str(error.value).startswith(message)


def test_shipped_suites_can_be_run(catalogue: Catalogue, tmp_path: Path) -> None:
    from headstock_bench.suite import load_suite, shipped_suites

    for name in shipped_suites():
        shipped = load_suite(name)
        recipes = shipped.recipes(str(tmp_path) if shipped.root else None)
        cells = plan_cells(catalogue, name, recipes, shipped.seeds)
        assert len(cells) == len(shipped.cases) * len(shipped.seeds)
