import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from headstock.cli.main import cli


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    suite = {"name": "mine", "summary": "for a test", "cases": {"good": {"task": "text-classification"}}}
    Path("mine.yaml").write_text(yaml.safe_dump(suite), "utf-8")


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bench", *arguments])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which suite? quick, shared-data, or the path of a suite file"),
        (["quik"], "there is no suite 'quik'; did you mean quick?"),
        (["mine.yaml", "--seeds", "0,x"], "'x' is not a valid integer"),
        (["mine.yaml", "--seeds", "-1"], "-1 is not in the range"),
        (["mine.yaml", "--only", "goood"], "no case of 'mine' is called like goood; did you mean good?"),
        (["mine.yaml", "--root", "."], "leave out --root"),
        (["shared-data", "--root", "nowhere"], "'nowhere' is not one; say where it is with --root DIR"),
    ],
)
def test_what_the_command_cannot_use_is_one_line(arguments: list[str], message: str) -> None:
    answer = bench(*arguments)
    assert answer.exit_code == 2
    assert message in answer.stderr
    assert len(answer.stderr.splitlines()) == 1
    assert answer.stdout == ""
    assert not Path("benchmarks-results").exists()


def test_suites_are_listed() -> None:
    answer = bench("--list")
    assert answer.exit_code == 0
    assert [line.split()[0] for line in answer.stdout.splitlines()] == ["suite", "quick", "shared-data"]
    records = json.loads(bench("--list", "--json").stdout)
    assert [record["name"] for record in records] == ["quick", "shared-data"]
    assert "text-classification" in records[0]["cases"]


def test_listing_a_suite_runs_and_writes_nothing() -> None:
    answer = bench("mine.yaml", "--list", "--seeds", "3,4,3")
    assert answer.exit_code == 0
    assert answer.stdout.splitlines()[1].split()[:3] == ["good", "0/2", "accuracy"]
    (summary,) = json.loads(bench("mine.yaml", "--list", "--json", "--seeds", "3,4").stdout)
    assert (summary["case"], summary["waiting"], summary["figures"]) == ("good", [3, 4], None)
    assert not Path("benchmarks-results").exists()


def test_help_needs_no_torch() -> None:
    code = (
        "import sys; from headstock_bench.command import bench; bench(['--help'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
