from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.step.precision import autocast, settle_precision

CPU = torch.device("cpu")

MODELS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "matrices": (lambda: nn.Sequential(nn.Linear(1024, 1024), nn.LayerNorm(1024), nn.Linear(1024, 10)), "bf16"),
    "small": (lambda: nn.Linear(64, 64), "fp32"),
    "convolutions": (lambda: nn.Sequential(nn.Conv2d(512, 512, 3), nn.Linear(1024, 1024)), "fp32"),
    "recurrent": (lambda: nn.Sequential(nn.GRU(512, 1024), nn.Linear(1024, 10)), "fp32"),
    "a large vocabulary": (lambda: nn.Sequential(nn.Embedding(20_000, 100), nn.Linear(100, 10)), "fp32"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_cpu_with_instructions_for_it_takes_bf16_for_matrices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    make, expected = MODELS[name]
    assert settle_precision(TrainerConfig(), make(), CPU).precision == expected


def test_a_cpu_without_them_takes_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert settle_precision(TrainerConfig(), nn.Linear(1024, 1024), CPU).precision == "fp32"


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_the_user_says_stays(precision: str) -> None:
    config = settle_precision(TrainerConfig(precision=precision), nn.Linear(4, 4), CPU)  # type: ignore[arg-type]
    assert config.precision == precision
    with autocast(config, CPU):
        assert nn.Linear(4, 4)(torch.ones(1, 4)).dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
