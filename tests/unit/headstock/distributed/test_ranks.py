from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from headstock import HeadstockError
from headstock.cli.main import cli
from headstock.distributed import OtherRankError, joined, launched, leads, speaks

SECOND = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECOND.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("headstock.distributed.processes.GRACE", 0.0)


def test_one_process_joins_nothing_and_imports_no_torch() -> None:
    program = (
        "import sys\nfrom headstock.distributed import ALONE, joined\n"
        "with joined('auto') as ranks:\n    assert ranks is ALONE\n    assert ranks.from_first(lambda: 3) == 3\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)
    assert leads()
    assert not launched()


def test_errors_of_one_process_pass_as_they_are() -> None:
    error = HeadstockError("no")
    with pytest.raises(HeadstockError) as caught, joined("auto"):
        raise error
    assert caught.value is error
    assert speaks(error)
    assert str(error) == "no"


@pytest.mark.usefixtures("second")
def test_only_the_first_rank_leads() -> None:
    assert launched()
    assert not leads()


@pytest.mark.usefixtures("second")
def test_an_error_before_the_ranks_have_met_names_the_rank_once() -> None:
    error = HeadstockError("no such file")
    assert speaks(error)
    assert str(error) == "rank 1: no such file"
    assert not speaks(OtherRankError("elsewhere"))


@pytest.mark.usefixtures("second")
def test_more_processes_than_gpus_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with pytest.raises(HeadstockError, match=r"2 processes on a machine with 1 GPUs; use --nproc-per-node 1"):
        joined("auto").__enter__()


@pytest.mark.usefixtures("second")
def test_ranks_that_cannot_be_reached_are_named_by_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstock.distributed.group.TIMEOUT", timedelta(milliseconds=50))
    with pytest.raises(HeadstockError, match=r"cannot reach the other ranks at localhost:1: "):
        joined("cpu").__enter__()


@pytest.mark.usefixtures("second")
def test_other_commands_than_run_say_that_they_are_for_one_process() -> None:
    with pytest.raises(HeadstockError, match="'headstock tasks' is for one process"):
        cli.main(["tasks"], standalone_mode=False)
