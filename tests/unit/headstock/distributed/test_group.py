from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("on_two_ranks.py")


@pytest.fixture(scope="module")
def ran(torchrun: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what two processes printed; each of their checks is a function of ``on_two_ranks.py``."""
    done = torchrun(tmp_path_factory.mktemp("ranks"), str(PROGRAM))
    return f"{done.returncode}\n{done.stdout}\n{done.stderr}"


def test_two_ranks_do_as_one(ran: str) -> None:
    assert "all is well" in ran, ran


def test_a_rank_that_fails_ends_all_and_says_which_it_is(ran: str) -> None:
    assert ran.startswith("1\n"), ran
    assert ran.count("HeadstockError: rank 1: this rank is out of luck") == 1, ran
