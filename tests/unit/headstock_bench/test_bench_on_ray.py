import json
import socket
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from headstock import HeadstockError
from headstock.cli.main import cli
from headstock_bench.ray_backend import cluster
from headstock_bench.ray_backend.cell import run_cell
from headstock_bench.ray_backend.cluster import Machine
from headstock_bench.ray_backend.runner import CellResources, resources_of


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bench", *arguments])


@pytest.fixture(autouse=True)
def _suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    suite = {"name": "mine", "summary": "for a test", "cases": {"good": {"task": "text-classification"}}}
    Path("mine.yaml").write_text(yaml.safe_dump(suite), "utf-8")


@pytest.mark.parametrize("found", [None, ModuleSpec("ray", None)])  # the latter: a folder that has the name
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, found: ModuleSpec | None) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: found)
    answer = bench("mine.yaml", "--ray")
    assert answer.exit_code == 2
    assert answer.stderr == "error: --ray needs Ray, which is not installed: pip install 'headstock[ray]'\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine.yaml", "--max-retries", "1"], "--max-retries is for cells on Ray; give --ray too"),
        (["mine.yaml", "--gpus-per-cell", "0"], "--gpus-per-cell is for cells on Ray"),
        (["mine.yaml", "--ray", "--gpus-per-cell", "2"], "2.0 is not in the range"),
        (["--ray", "mine.yaml"], "which suite? It stands before --ray: headstock bench SUITE --ray [ADDRESS]"),
        (
            ["mine.yaml", "--ray", "somewhere"],
            "'somewhere' is not the address of a Ray cluster: local, auto or HOST:PORT",
        ),
        (["mine.yaml", "--ray", "ray://head:10001"], "start the benchmark on one of its machines: --ray auto"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "check_installed", lambda: None)
    answer = bench(*arguments)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert not Path("benchmarks-results").exists()


@pytest.mark.parametrize(
    ("machines", "cpus", "gpus", "share"),
    [
        ([Machine(8, 0)], None, None, CellResources(1, 0, 8)),
        ([Machine(8, 0), Machine(4, 0)], 3, None, CellResources(3, 0, 3)),
        ([Machine(32, 8), Machine(96, 8)], None, None, CellResources(4, 1, 16)),
        ([Machine(32, 8), Machine(64, 0)], None, None, CellResources(4, 1, 8)),
        ([Machine(32, 8)], None, 0.5, CellResources(2, 0.5, 16)),
        ([Machine(32, 8)], 1, 0.0, CellResources(1, 0, 32)),
        ([Machine(2, 4)], None, None, CellResources(1, 1, 2)),
    ],
)
def test_a_cell_gets_a_gpu_and_its_share_of_the_cpus(
    machines: list[Machine], cpus: int | None, gpus: float | None, share: CellResources
) -> None:
    assert resources_of(machines, cpus, gpus) == share


def test_more_than_any_machine_has_is_an_error() -> None:
    with pytest.raises(HeadstockError, match="no machine of the Ray cluster has 1 CPU and 1 GPU for a cell"):
        resources_of([Machine(8, 0)], None, 1.0)


def request(place: Path, arguments: list[str], **values: Any) -> str:
    (place / "recipe.yaml").write_text("task: x\n", "utf-8")
    wanted: dict[str, Any] = {
        "arguments": arguments,
        "folder": str(place),
        "recipe": str(place / "recipe.yaml"),
        "text": "task: x\n",
        "log": str(place / "logs" / "a.log"),
    }
    return json.dumps({**wanted, **values})


def test_a_worker_answers_in_json(tmp_path: Path) -> None:
    answer = json.loads(run_cell(request(tmp_path, ["no-such-command"])))
    assert (answer["kind"], answer["code"]) == ("ended", 2)
    assert answer["last_line"].startswith("error: there is no command 'no-such-command'")
    assert answer["machine"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"recipe": "elsewhere.yaml"}, "it does not see elsewhere.yaml"),
        ({"text": "task: y\n"}, "it does not see "),
        ({"folder": "/nowhere"}, "FileNotFoundError: "),
    ],
)
def test_a_machine_that_does_not_see_the_files_says_so(tmp_path: Path, values: dict[str, str], message: str) -> None:
    answer = json.loads(run_cell(request(tmp_path, ["--version"], **values)))
    assert answer["kind"] == "unusable"
    assert answer["last_line"].startswith(message)


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "auto"])
def test_a_cluster_that_is_gone_is_said_at_once(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with (
        pytest.raises(HeadstockError, match=f"cannot reach the Ray cluster at 127.0.0.1:{port}: Connection refused"),
        cluster.connected(address.format(port=port)),
    ):
        pass
