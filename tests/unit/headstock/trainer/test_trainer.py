from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headstock import HeadstockError
from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.progress.stop_signal import InterruptedRunError
from headstock.trainer.state.model_state import load_state, trained_state
from headstock.trainer.trainer import Trainer

Make = Callable[..., tuple[nn.Module, Trainer]]
Collate = Callable[[Any], Batch]


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


class Weighted(nn.Module):
    """One layer, nothing random, and a count that is not the number of examples."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 1)
        self.gradients: list[Tensor] = []

    def forward(self, batch: Batch) -> StepOutput:
        weight = batch.inputs["x"][:, 0].abs()
        predicted = self.layer(batch.inputs["x"])[:, 0]
        total = (weight * (predicted - batch.targets["y"]).square()).sum()
        return StepOutput({"y": predicted}, Loss(total, weight.sum()))


def test_training_lowers_the_loss_and_keeps_the_best(make_trainer: Make, tmp_path: Path) -> None:
    _, trainer = make_trainer(epochs=20)
    result = trainer.fit()
    records = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    validation = [record["loss"] for record in records if record["kind"] == "validation"]
    assert result.best.value == min(validation)
    assert min(validation) < validation[0] / 3
    assert result.examples_per_second > 0


def test_the_model_ends_with_the_weights_of_the_best_validation(make_trainer: Make) -> None:
    seen: list[dict[str, Tensor]] = []
    values = iter([3.0, 1.0, 2.0, 5.0])

    def validate(module: nn.Module) -> dict[str, float]:
        seen.append(weights(module))
        return {"loss": next(values)}

    module, trainer = make_trainer(validate=validate)
    assert trainer.fit().best.step == 20
    assert_same(weights(module), seen[1])


def test_weights_that_were_good_from_the_start_are_kept_where_training_makes_them_worse(make_trainer: Make) -> None:
    losses = iter([0.1, 0.4, 0.3, 0.2, 0.15])
    model, trainer = make_trainer(validate=lambda _: {"loss": next(losses)}, validates_first=True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = trainer.fit()
    assert (result.best.step, result.best.value, result.steps) == (0, 0.1, 40)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_run_that_validated_first_and_was_cut_off_goes_on(make_trainer: Make, tmp_path: Path) -> None:
    model, trainer = make_trainer("whole", validates_first=True)
    trainer.fit()

    def cut(module: nn.Module) -> dict[str, float]:
        if list((tmp_path / "cut" / "checkpoints").glob("step-*")):
            raise RuntimeError("cut")
        return {"loss": 1e9}

    _, first = make_trainer("cut", validate=cut, validates_first=True)
    with pytest.raises(RuntimeError, match="cut"):
        first.fit()
    resumed_model, resumed = make_trainer("cut", validates_first=True)
    resumed.resume()
    assert resumed.fit().best.step > 0
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in resumed_model.state_dict().items())


def test_patience_stops(make_trainer: Make) -> None:
    values = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    _, trainer = make_trainer(validate=lambda _: {"loss": next(values)}, epochs=50, patience=2)
    result = trainer.fit()
    assert result.stopped_early
    assert result.steps == 30


@pytest.mark.parametrize("max_grad_norm", [None, 0.5])
def test_accumulation_gives_the_gradient_of_one_large_batch(make_trainer: Make, max_grad_norm: float | None) -> None:
    whole, trainer = make_trainer("whole", Weighted(), batch_size=100, epochs=3, max_grad_norm=max_grad_norm)
    trainer.fit()
    options = {"batch_size": 7, "gradient_accumulation_steps": 50, "epochs": 3, "max_grad_norm": max_grad_norm}
    parts, trainer = make_trainer("parts", Weighted(), **options)
    trainer.fit()
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(parts.state_dict()[name], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("accumulation", [1, 3])
def test_a_resumed_run_equals_an_uninterrupted_one(
    make_trainer: Make, collate: Collate, tmp_path: Path, accumulation: int
) -> None:
    options = {"log_every": 3, "gradient_accumulation_steps": accumulation, "epochs": 6}
    straight, trainer = make_trainer("straight", **options)
    trainer.fit()

    calls = 0

    def stopping(indices: Any) -> Batch:
        nonlocal calls
        calls += 1
        if calls in {7, 15, 33}:
            os.kill(os.getpid(), signal.SIGTERM)
        return collate(indices)

    interruptions: list[tuple[int, bool]] = []
    while True:
        resumed, trainer = make_trainer("resumed", collate=stopping, **options)
        trainer.resume()
        try:
            trainer.fit()
        except InterruptedRunError as error:
            interruptions.append((error.exit_code, "--resume" in str(error)))
        else:
            break
    assert interruptions == [(128 + signal.SIGTERM, True)] * 3
    assert_same(weights(straight), weights(resumed))
    straight_log, resumed_log = (tmp_path / name / "metrics.jsonl" for name in ("straight", "resumed"))
    assert straight_log.read_bytes() == resumed_log.read_bytes()


def test_the_same_seed_gives_the_same_weights_whatever_ran_before(make_trainer: Make) -> None:
    first, trainer = make_trainer("first")
    trainer.fit()
    torch.rand(17)
    second, trainer = make_trainer("second")
    trainer.fit()
    assert_same(weights(first), weights(second))


def test_a_loss_that_is_not_finite_stops_with_step_and_advice(make_trainer: Make, collate: Collate) -> None:
    calls = 0

    def poisoned(indices: Any) -> Batch:
        nonlocal calls
        calls += 1
        batch = collate(indices)
        return Batch({"x": batch.inputs["x"] * float("nan")}, batch.targets, batch.size) if calls == 13 else batch

    _, trainer = make_trainer(collate=poisoned, log_every=5)
    with pytest.raises(
        HeadstockError, match=r"not finite at step 13; the last good checkpoint \(step 10\) is kept; try"
    ):
        trainer.fit()
    _, trainer = make_trainer(collate=collate)
    trainer.resume()
    assert trainer.fit().steps == 40


def test_a_damaged_checkpoint_is_passed_over(make_trainer: Make, tmp_path: Path) -> None:
    straight, trainer = make_trainer("straight")
    trainer.fit()
    damaged, trainer = make_trainer("damaged")
    trainer.fit()
    newest = sorted((tmp_path / "damaged/checkpoints").iterdir())[-1] / "optimizer.safetensors"
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    newest.write_bytes(content)
    damaged, trainer = make_trainer("damaged")
    trainer.resume()
    trainer.fit()
    assert_same(weights(straight), weights(damaged))


def interrupt_after(collate: Collate, steps: int) -> Collate:
    calls = 0

    def interrupting(indices: Any) -> Batch:
        nonlocal calls
        calls += 1
        if calls == steps:
            os.kill(os.getpid(), signal.SIGTERM)
        return collate(indices)

    return interrupting


def test_nothing_is_taken_from_a_damaged_checkpoint(make_trainer: Make, collate: Collate, tmp_path: Path) -> None:
    def rising() -> Callable[[nn.Module], dict[str, float]]:
        # The first validation is the best, so each later checkpoint takes its best weights from the one before.
        values = iter([1.0, 2.0, 3.0, 4.0])
        return lambda _: {"loss": next(values)}

    options: dict[str, Any] = {"patience": None, "checkpoint_every": 5}
    straight, trainer = make_trainer("straight", validate=rising(), **options)
    trainer.fit()
    _, trainer = make_trainer("damaged", validate=rising(), collate=interrupt_after(collate, 18), **options)
    with pytest.raises(InterruptedRunError):
        trainer.fit()
    folder = tmp_path / "damaged/checkpoints"
    assert [path.name for path in sorted(folder.iterdir())] == ["step-00000015", "step-00000018"]
    best = folder / "step-00000018/best.safetensors"
    content = bytearray(best.read_bytes())
    content[-1] ^= 1
    best.unlink()  # it may be a hard link to the best weights of the sound checkpoint
    best.write_bytes(content)
    values = iter([2.0, 3.0, 4.0])
    resumed, trainer = make_trainer("damaged", validate=lambda _: {"loss": next(values)}, **options)
    trainer.resume()
    assert [path.name for path in folder.iterdir()] == ["step-00000015"]
    assert trainer.fit().best.step == 10
    assert_same(weights(straight), weights(resumed))
    logs = [(tmp_path / name / "metrics.jsonl").read_bytes() for name in ("straight", "damaged")]
    assert logs[0] == logs[1]


def test_what_a_killed_save_left_is_removed(make_trainer: Make, collate: Collate, tmp_path: Path) -> None:
    _, trainer = make_trainer(collate=interrupt_after(collate, 3))
    with pytest.raises(InterruptedRunError):
        trainer.fit()
    (tmp_path / "run/checkpoints/.step-00000004.0123.tmp").mkdir()
    _, trainer = make_trainer()
    trainer.resume()
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir()] == ["step-00000003"]


@pytest.mark.parametrize(("options", "steps"), [({}, 40), ({"max_steps": 15}, 15), ({"max_steps": 500}, 40)])
def test_max_steps_is_at_most(make_trainer: Make, options: dict[str, int], steps: int) -> None:
    _, trainer = make_trainer(**options)
    result = trainer.fit()
    assert (result.steps, result.stopped_early) == (steps, False)


def test_tensors_of_another_shape_are_of_another_model() -> None:
    model = nn.Linear(4, 2)
    before = weights(model)
    with pytest.raises(HeadstockError, match=r"another model \(differs in weight\); start again with --force"):
        load_state(model, trained_state(nn.Linear(5, 2)))
    assert_same(weights(model), before)
    with pytest.raises(HeadstockError, match=r"another model \(differs in bias\)"):
        load_state(model, {"weight": model.weight.detach()})


def test_all_checkpoints_damaged_is_an_error(make_trainer: Make, tmp_path: Path) -> None:
    _, trainer = make_trainer()
    trainer.fit()
    for path in (tmp_path / "run/checkpoints").glob("*/checkpoint.json"):
        path.write_text("{}")
    _, trainer = make_trainer()
    with pytest.raises(HeadstockError, match=r"no sound checkpoint.*--force"):
        trainer.resume()


def test_nothing_is_asked_of_the_device_between_logs(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: dict[str, int] = {}
    for name in ("item", "tolist", "__float__", "__int__", "__bool__", "cpu", "numpy"):
        original = getattr(Tensor, name)

        def counting(self: Tensor, *args: Any, original: Any = original, name: str = name) -> Any:
            counts[name] = counts.get(name, 0) + 1
            return original(self, *args)

        monkeypatch.setattr(Tensor, name, counting)

    def asked(steps: int) -> int:
        counts.clear()
        options = {"max_steps": steps, "log_every": 1000, "checkpoint_every": 1000, "evaluate_every": 1000}
        _, trainer = make_trainer(f"steps-{steps}", validate=lambda _: {"loss": 1.0}, **options)
        trainer.fit()
        return sum(counts.values())

    assert asked(30) == asked(5)


def test_norms_and_biases_do_not_decay(make_trainer: Make) -> None:
    module, trainer = make_trainer(weight_decay=0.5, learning_rate=0.05, epochs=1)
    groups = trainer.parts.optimizer.param_groups
    assert {(parameter.ndim >= 2, group["weight_decay"]) for group in groups for parameter in group["params"]} == {
        (True, 0.5),
        (False, 0.0),
    }
    assert sum(len(group["params"]) for group in groups) == len(list(module.parameters()))
