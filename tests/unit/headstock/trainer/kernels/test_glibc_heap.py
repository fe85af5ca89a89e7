"""Memory stays with the process from step to step, and goes back at the end."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.glibc_heap import SETTINGS, _glibc, kept_memory

CPU = torch.device("cpu")
LARGE = 40 * 2**20  # bytes, above what glibc takes from its heap by itself

needs_glibc = pytest.mark.skipif(_glibc() is None, reason="the C library is not glibc")


FAULTS = f"""
import resource, sys
import torch
from headstock.trainer.kernels.glibc_heap import kept_memory
from headstock.trainer.config import TrainerConfig

with kept_memory(TrainerConfig(keep_memory=sys.argv[1] == "keep"), torch.device("cpu")):
    for number in range(40):
        if number == 20:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty({LARGE}, dtype=torch.uint8).fill_(1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
"""Prints how many pages are fetched over twenty blocks, each freed before the next, after the first twenty."""


@needs_glibc
def test_blocks_are_not_fetched_again() -> None:
    counts: dict[str, int] = {}
    for word in ("keep", "return"):
        done = subprocess.run([sys.executable, "-c", FAULTS, word], check=True, capture_output=True, timeout=300)
        counts[word] = int(done.stdout)
    assert counts["keep"] * 4 < counts["return"]  # something small may lie in the way of a block once


@needs_glibc
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell a process its size")
def test_what_is_free_goes_back_at_the_end() -> None:
    program = f"""
import torch
from headstock.trainer.kernels.glibc_heap import kept_memory
from headstock.trainer.config import TrainerConfig

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * {resource.getpagesize()}

before = resident()
with kept_memory(TrainerConfig(), torch.device("cpu")):
    blocks = [torch.ones({LARGE}, dtype=torch.uint8) for _ in range(5)]
    del blocks
    assert resident() - before > 4 * {LARGE}, "it was handed back at once"
assert resident() - before < {LARGE}, "it was kept"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=300)


@needs_glibc
@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_user_told_the_c_library_holds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, value: int) -> None:
            told.append((option, value))

        def malloc_trim(self, pad: int) -> None:
            pass

    monkeypatch.setattr("headstock.trainer.kernels.glibc_heap._glibc", Library)
    monkeypatch.delenv(name, raising=False)
    with kept_memory(TrainerConfig(), CPU), kept_memory(TrainerConfig(), CPU):
        assert len(told) == 2  # the inner one leaves all to the outer one
    told.clear()
    monkeypatch.setenv(name, "1")
    with kept_memory(TrainerConfig(), CPU):
        pass
    assert told == []


def test_gpus_have_an_allocator_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("the C library was asked")

    monkeypatch.setattr("headstock.trainer.kernels.glibc_heap._glibc", refuse)
    with kept_memory(TrainerConfig(), torch.device("cuda")):
        pass
