import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from headstock import HeadstockError, json_digest
from headstock.interfaces import Details
from headstock.report.result import RunResult, TestResult, TrainingSummary
from headstock_bench import harness as harness_module
from headstock_bench.cells import Cell, CellFiles
from headstock_bench.harness import Harness, Settings, locked
from headstock_bench.process import Ending, StoppedError
from headstock_bench.records import Results
from headstock_registry import Catalogue

ENVIRONMENT = {
    "seed": 0,
    "python": "3.12.1",
    "platform": "Linux",
    "versions": {"headstock": "1.2.3"},
    "plugins": {},
    "device": "Some Processor",
    "device_type": "cpu",
    "cpus": 4,
    "threads": 2,
    "commit": None,
}


class Runs:
    """Stands for ``headstock run``: leaves a run's files behind, or fails, or is stopped."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.ends: dict[str, str] = {}

    def __call__(self, command: Sequence[str], log: Path, held: Sequence[int] = ()) -> Ending:
        assert held
        self.commands.append(list(command))
        recipe, run = Path(command[5]), Path(command[7])
        content = yaml.safe_load(recipe.read_text("utf-8"))
        end = self.ends.get(f"{recipe.parent.name}-{content['seed']}", "ok")
        if end == "failed":
            return Ending(2, 1.0, "error: no such data")
        (run / "model").mkdir(parents=True, exist_ok=True)
        (run / "model" / "head.safetensors").touch()
        (run / "recipe.yaml").write_text(yaml.safe_dump(content), "utf-8")
        (run / "environment.json").write_text(json.dumps(ENVIRONMENT), "utf-8")
        if end == "stopped":
            raise StoppedError("stopped", signal.SIGINT)
        result = RunResult(
            path=run,
            task="text-classification",
            backbone="textcnn",
            adapter="full",
            seed=content["seed"],
            parameters=1000,
            trainable_parameters=10,
            examples={"train": 1, "validation": 1, "test": 1},
            skipped={},
            training=TrainingSummary(
                steps=7,
                best_step=7,
                best_metric="accuracy",
                best_value=0.7,
                stopped_early=False,
                examples_per_second=50.0,
                seconds=3.0,
                peak_memory_mb=600.0,
            ),
            before=TestResult(metrics={"accuracy": 0.25}, details=Details()),
            after=TestResult(metrics={"accuracy": 0.75}, details=Details()),
        )
        (run / "results.json").write_text(result.model_dump_json(), "utf-8")
        return Ending(0, 4.0, "everything is in …")

    @property
    def options(self) -> list[list[str]]:
        """What stands in each command after ``--quiet``."""
        return [command[9:] for command in self.commands]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    runs = Runs()
    monkeypatch.setattr(harness_module, "run_process", runs)
    return runs


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def start(path: Path, said: list[str]) -> Callable[..., Harness]:
    """Make a harness that has read the results afresh."""

    def make_harness(**options: Any) -> Harness:
        return Harness(Catalogue([]), Settings("mine", path.parent, **options), Results(path), said.append)

    return make_harness


@pytest.fixture
def cells(make: Any) -> list[Cell]:
    """Two cells; a digest is that of the recipe, which the stand-in for runs leaves behind as it is."""
    cells = []
    for seed in (0, 1):
        content = make.cell(seed=seed).content
        cells.append(Cell("a", seed, content, json_digest(content), make.cell().metric))
    return cells


def test_each_cell_is_a_run_of_its_own_and_recorded(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], path: Path, said: list[str]
) -> None:
    start().run(cells)
    files = CellFiles.of(cells[0], path.parent)
    assert runs.commands[0] == [
        *(sys.executable, "-P", "-m", "headstock", "run", str(files.recipe)),
        *("--out", str(files.run), "--quiet"),
    ]
    record = Results(path).of(cells[0])
    assert record is not None
    assert (record.suite, record.status, record.error) == ("mine", "ok", None)
    assert record.measurement is not None
    assert record.measurement.after == {"accuracy": 0.75}
    assert record.measurement.steps == 7
    assert not record.measurement.resumed
    assert (record.provenance.device, record.provenance.headstock) == ("Some Processor", "1.2.3")
    assert said == [
        "[1/2] a seed 0 …",
        "[1/2] a seed 0: accuracy 0.2500 → 0.7500, 50.0 examples/s, 3 s",
        "[2/2] a seed 1 …",
        "[2/2] a seed 1: accuracy 0.2500 → 0.7500, 50.0 examples/s, 3 s",
    ]


def test_weights_are_dropped_unless_kept(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], path: Path
) -> None:
    start().run(cells[:1])
    start(keep_weights=True).run(cells[1:])
    dropped, kept = (CellFiles.of(cell, path.parent).run for cell in cells)
    assert (dropped / "results.json").exists()
    assert not (dropped / "model").exists()
    assert (kept / "model" / "head.safetensors").exists()


def test_what_is_recorded_is_not_run_again(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], said: list[str]
) -> None:
    start().run(cells[:1])
    assert start().pending(cells) == cells[1:]
    start().run(cells)
    assert len(runs.commands) == 2
    said.clear()
    start().run(cells)
    assert len(runs.commands) == 2
    assert said == ["2 of 2 runs are recorded already"]


def test_a_failure_is_recorded_and_the_next_cell_is_run(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], path: Path, said: list[str]
) -> None:
    runs.ends["a-0"] = "failed"
    start().run(cells)
    failed, done = Results(path).of_all(cells)
    assert (failed.status, failed.error, failed.measurement) == ("failed", "no such data", None)
    assert failed.provenance.device is None
    assert done.status == "ok"
    assert "failed after 1 s: no such data (all of it is in " in said[1]


def test_a_failed_cell_is_run_again_only_if_asked_for(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], path: Path
) -> None:
    runs.ends["a-0"] = "failed"
    start().run(cells)
    start().run(cells)
    assert len(runs.commands) == 2
    runs.ends.clear()
    start(retry_failed=True).run(cells)
    assert len(runs.commands) == 3
    assert [record.status for record in Results(path).of_all(cells)] == ["ok", "ok"]


def test_a_failed_run_begins_anew(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], make: Any, path: Path
) -> None:
    start().run(cells[:1])  # leaves a run directory
    path.unlink()
    Results(path).append(make.record(cells[0], error="out of memory"))
    start(retry_failed=True).run(cells[:1])
    assert runs.options == [[], ["--force"]]


def test_a_changed_recipe_is_run_anew(start: Callable[..., Harness], runs: Runs, cells: list[Cell], make: Any) -> None:
    start().run(cells[:1])
    content = {**cells[0].content, "trainer": {"epochs": 9}}
    start().run([Cell("a", 0, content, json_digest(content), cells[0].metric)])
    assert runs.options == [[], ["--force"]]


def test_a_stopped_run_is_not_recorded_and_is_resumed_next_time(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], path: Path
) -> None:
    runs.ends["a-1"] = "stopped"
    with pytest.raises(StoppedError, match="stopped with 1 of 2 runs to go; the same command resumes it") as stop:
        start().run(cells)
    assert stop.value.exit_code == 130
    assert [record.seed for record in Results(path).of_all(cells)] == [0]
    runs.ends.clear()
    start().run(cells)
    assert runs.options == [[], [], ["--resume"]]
    record = Results(path).of(cells[1])
    assert record is not None
    assert record.measurement is not None
    assert record.measurement.resumed


def test_two_harnesses_do_not_share_a_folder(
    start: Callable[..., Harness], runs: Runs, cells: list[Cell], path: Path
) -> None:
    path.parent.mkdir()
    with locked(path.parent), pytest.raises(HeadstockError, match="another process is running cells in"):
        start().run(cells)
    assert runs.commands == []


def test_the_lock_lasts_as_long_as_a_process_that_was_given_it(tmp_path: Path) -> None:
    with locked(tmp_path) as lock:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(HeadstockError), locked(tmp_path):
        pass
    child.communicate(b"\n", timeout=300)
    with locked(tmp_path):
        pass


def test_only_the_caller_lets_code_of_weights_run(start: Callable[..., Harness], runs: Runs, cells: list[Cell]) -> None:
    start(trust_remote_code=True).run(cells)
    assert runs.options == [["--trust-remote-code"]] * 2
