"""What two processes do in ``test_group.py``; an assertion that fails on either ends both."""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torchmetrics import MeanMetric

from headstock.atomic import WriteError
from headstock.console import Console
from headstock.distributed import ALONE, Ranks, group, joined
from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.assembly import build_trainer
from headstock.trainer.config import TrainerConfig
from headstock.trainer.parallel.fsdp import shard
from headstock.trainer.plan.batches import BatchPlan
from headstock.trainer.progress.training_log import NoLog, TrainingLog
from headstock.trainer.state.checkpoints import CheckpointFolder
from headstock.trainer.step.optimizer import ParameterGroup
from headstock.trainer.trainer import Surroundings, Trainer
from headstock_registry import HeadstockError

EXAMPLES = 41
X = torch.randn(EXAMPLES, 4, generator=torch.Generator().manual_seed(1))
Y = X @ torch.tensor([1.0, -2.0, 0.5, 0.0])
COSTS = np.arange(EXAMPLES, dtype=np.int64) % 7 + 1


class Weighted(nn.Module):
    """Nothing random, a count that is not the number of examples, a layer that few batches use and one that none does.

    ``scores`` hang on a parameter that the loss does not: what is not trained in a step must not be waited for.
    """

    def __init__(self, frozen: bool, normed: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8) if normed else nn.Identity(), nn.Tanh())
        self.head, self.rare, self.never = nn.Linear(8, 1), nn.Linear(8, 1), nn.Linear(8, 1)
        self.body.requires_grad_(not frozen)

    def forward(self, batch: Batch) -> StepOutput:
        features = self.body(batch.inputs["x"])
        predicted = self.head(features)[:, 0]
        if (rare := batch.inputs["number"] == 3).any():
            predicted = predicted + torch.where(rare, self.rare(features)[:, 0], 0)
        weight = batch.inputs["x"][:, 0].abs()
        total = (weight * (predicted - batch.targets["y"]).square()).sum()
        return StepOutput({"y": predicted, "scores": self.never(features)}, Loss(total, weight.sum()))


def collate(indices: Any) -> Batch:
    rows = torch.as_tensor(np.asarray(indices))
    return Batch({"x": X[rows], "number": rows}, {"y": Y[rows]}, len(indices))


def make(
    folder: Path, model: nn.Module, ranks: Ranks, look: Callable[[], None] = lambda: None, **options: Any
) -> Trainer:
    config = TrainerConfig(**{"batch_size": 8, "epochs": 2, "device": "cpu", "max_grad_norm": 0.5, **options})

    def validate() -> dict[str, float]:
        look()
        model.eval()
        with torch.no_grad():
            loss = model(collate(np.arange(EXAMPLES))).loss
        return {"loss": float(loss.total / loss.count)}

    folder.mkdir(exist_ok=True)
    return build_trainer(
        model,
        [ParameterGroup([parameter for parameter in model.parameters() if parameter.requires_grad], 0.05)],
        BatchPlan(COSTS, config.batch_size, config.batch_cost, seed=3),
        collate,
        config,
        3,
        ("loss", "lower"),
        Surroundings(
            validate=validate,
            checkpoints=CheckpointFolder(folder / "checkpoints"),
            log=lambda keep: TrainingLog(folder, config.tensorboard, keep) if ranks.first else NoLog(),
            console=Console(quiet=True),
            resume_hint="",
            name_example=str,
            ranks=ranks,
        ),
    )


def first_gradient(trainer: Trainer) -> dict[str, Tensor | None]:
    """Return each parameter's gradient after the first step's backward passes; ``None`` where there is none."""
    batches = trainer._plan.epoch(0)[: trainer._config.gradient_accumulation_steps]
    total, count = trainer.parts.gradient.accumulate(batches, 0)
    assert float(count) > 0
    found = {name: parameter.grad for name, parameter in trainer._model.named_parameters()}
    gradient = {name: None if value is None else value.clone() for name, value in found.items()}
    trainer._model.zero_grad(set_to_none=True)
    return {**gradient, "total": total, "count": count}


def assert_close(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if value is None or found[name] is None:
            assert value is None, f"{name} has a gradient on one rank"
            assert found[name] is None, f"{name} has a gradient on two ranks"
        else:
            torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6)


def same_everywhere(ranks: Ranks, value: Any) -> bool:
    """Say on the first rank whether all have the same JSON value; true on the others."""
    values = ranks.gather(value)
    return values is None or all(other == values[0] for other in values)


def exchange(ranks: Ranks, folder: Path) -> None:
    """Values and tensors come through unchanged and in order."""
    hard = [0.1 + ranks.rank, "ä\u0000", None, {"a": [1e308, -0.0]}, "x" * (ranks.rank * 100_000)]
    gathered = ranks.gather(hard)
    if ranks.first:
        assert gathered == [[0.1 + rank, *hard[1:4], "x" * (rank * 100_000)] for rank in range(2)]
    assert float(ranks.sum(torch.tensor(1.0 + ranks.rank))) == 3.0
    assert ranks.from_first(lambda: {"rank": ranks.rank}) == {"rank": 0}
    # A library that gathers wherever it finds a process group does not wait for ranks that have no part in this.
    metric = MeanMetric()
    metric.update(torch.tensor(2.0))
    assert ranks.from_first(lambda: float(metric.compute())) == 2.0
    mine = {
        "half": torch.tensor([1.5, 2.5], dtype=torch.bfloat16),
        "flag": torch.tensor([True, False, True]),
        "step": torch.tensor(7.0),
        "none": torch.zeros(0, 3),
        "turned": torch.arange(6).view(2, 3).T,
    }
    spread = ranks.spread(lambda: mine, torch.device("cpu"))
    assert spread.keys() == mine.keys()
    assert all(torch.equal(spread[name], value) and spread[name].dtype == value.dtype for name, value in mine.items())
    turned = torch.full((2, 3), float(ranks.rank)).T
    ranks.broadcast([turned])
    assert turned.eq(0).all()
    log = folder / "turns"
    for turn in range(2):
        with ranks.in_turn(), log.open("a") as stream:
            stream.write(f"{turn}{ranks.rank} ")
    if ranks.gather(None):
        turns = log.read_text().split()
        assert sorted(turns) == ["00", "01", "10", "11"]
        assert turns.index("00") < turns.index("01")
        assert turns.index("10") < turns.index("11")


def vote(ranks: Ranks) -> None:
    """One rank's signal stops all at the same step, the one after."""
    stopping = ranks.stop_vote()
    seen = [stopping.agreed(signal.SIGTERM if (step, ranks.rank) == (2, 1) else None) for step in range(4)]
    stopping.close()
    assert seen == [None, None, None, signal.SIGTERM], seen


def same_gradient(ranks: Ranks, folder: Path) -> None:
    """Gradients and weights do not depend on the number of ranks, however a step's batches fall on them."""
    cases: list[dict[str, Any]] = [
        {"gradient_accumulation_steps": accumulation, "batch_size": size, "max_steps": 25}
        for accumulation, size in [(1, 8), (3, 4), (5, 1), (1, 1)]
    ]
    for number, case in enumerate(cases):
        for frozen in (False, True):
            path = folder / f"{number}-{frozen}"
            alone = make(folder / f"{number}-{frozen}-alone-{ranks.rank}", Weighted(frozen), ALONE, **case)
            replicated = make(path, Weighted(frozen), ranks, **case)
            before = weights(replicated._model)
            assert_close(first_gradient(replicated), first_gradient(alone))
            results = [trainer.fit() for trainer in (replicated, alone)]
            assert results[0].steps == results[1].steps
            assert results[0].best.step == results[1].best.step
            # AdamW turns rounding in a gradient near zero into more than rounding in a weight.
            for name, value in weights(alone._model).items():
                torch.testing.assert_close(weights(replicated._model)[name], value, rtol=1e-3, atol=1e-4)
            changed = [name for name, value in before.items() if not value.equal(weights(replicated._model)[name])]
            assert any(name.startswith("head") for name in changed)
            assert not any(name.startswith("never") or (frozen and name.startswith("body")) for name in changed)
            assert same_everywhere(ranks, plain(replicated._model))


def resumed(ranks: Ranks, folder: Path) -> None:
    """A run of two ranks is resumed by one, and the reverse; on two it is the same to the bit."""

    def begun(name: str, by: Ranks) -> Path:
        make(folder / name, Weighted(False), by, max_steps=7, schedule="constant", warmup_ratio=0.0).fit()
        return folder / name

    def resume(path: Path, by: Ranks) -> nn.Module:
        # What ended there is made to look like an interruption: the schedule is the same.
        trainer = make(path, Weighted(False), by, schedule="constant", warmup_ratio=0.0)
        trainer.resume()
        trainer._state = trainer._state.model_copy(update={"finished": False})
        assert trainer._state.step == 7
        trainer.fit()
        return trainer._model

    straight = make(folder / "straight", Weighted(False), ranks, schedule="constant", warmup_ratio=0.0)
    straight.fit()
    expected = weights(straight._model)
    again = resume(begun("two-two", ranks), ranks)
    assert all(torch.equal(value, expected[name]) for name, value in weights(again).items())
    by_one = begun("two-one", ranks)
    if ranks.first:
        assert_near(resume(by_one, ALONE), expected)
        begun("one-two", ALONE)
    ranks.from_first(lambda: None)  # the other rank has no part in what one process writes
    assert_near(resume(folder / "one-two", ranks), expected)


def sharded(ranks: Ranks, folder: Path) -> None:
    """Each rank writes its shards and resumes from them, the same to the bit; none that cannot write goes unnoticed."""

    def begin(name: str, **options: Any) -> Trainer:
        model = Weighted(False)
        shard(model, model.body, ranks, torch.device("cpu"))
        return make(folder / name, model, ranks, schedule="constant", warmup_ratio=0.0, fsdp=True, **options)

    straight = begin("shards-straight")
    straight.fit()
    begin("shards", max_steps=7).fit()
    (written,) = (folder / "shards/checkpoints").glob("step-00000007")
    assert len(list(written.glob("optimizer/shard-*"))) == 2
    again = begin("shards")
    again.resume()
    again._state = again._state.model_copy(update={"finished": False})
    again.fit()
    expected = straight._model.state_dict()
    assert all(torch.equal(local(value), local(expected[name])) for name, value in again._model.state_dict().items())

    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 if ranks.rank == 1 else most, most))
    said = ""
    try:
        again.parts.state.save(again._state.model_copy(update={"step": 99}), is_best=True)
    except WriteError as error:
        said = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert said.endswith("File too large"), said
    ranks.gather(None)  # the first has taken away what there was of it
    assert not list((folder / "shards/checkpoints").glob("*99*"))


def local(value: Tensor) -> Tensor:
    return value.to_local() if isinstance(value, DTensor) else value


def running_means(ranks: Ranks, folder: Path) -> None:
    """Running means of batch norms are the first rank's, on all ranks, whenever they are used."""
    model = Weighted(False, normed=True)
    norm = model.body[1]
    assert isinstance(norm, nn.BatchNorm1d)
    same: list[bool] = []

    def look() -> None:
        assert norm.running_mean is not None
        same.append(same_everywhere(ranks, norm.running_mean.tolist()))
        assert norm.running_mean.abs().sum() > 0

    make(folder / "normed", model, ranks, look, batch_size=20).fit()
    assert same == [True, True]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def plain(model: nn.Module) -> dict[str, Any]:
    return {name: value.tolist() for name, value in model.state_dict().items()}


def assert_near(model: nn.Module, expected: dict[str, Tensor]) -> None:
    for name, value in weights(model).items():
        torch.testing.assert_close(value, expected[name], rtol=1e-3, atol=1e-4)


def main() -> None:
    for name, value in {"GRACE": 0.5, "TIMEOUT": timedelta(seconds=60)}.items():  # nothing takes long here
        setattr(group, name, value)
    with joined("cpu") as ranks:
        folder = Path(ranks.from_first(tempfile.mkdtemp))
        checks: list[Callable[[], None]] = [
            lambda: exchange(ranks, folder),
            lambda: vote(ranks),
            lambda: same_gradient(ranks, folder),
            lambda: resumed(ranks, folder),
            lambda: sharded(ranks, folder),
            lambda: running_means(ranks, folder),
        ]
        for check in checks:
            check()
        ranks.from_first(lambda: print("all is well", flush=True))
        if ranks.rank == 1:
            raise HeadstockError("this rank is out of luck")
        ranks.sum(torch.zeros(1))


if __name__ == "__main__":
    try:
        main()
    except HeadstockError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(2)
