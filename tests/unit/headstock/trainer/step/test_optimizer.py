import pytest
import torch
from torch import nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.step.optimizer import ParameterGroup, build_optimizer, learning_rate_factor, scaled_step


def rates(schedule: str, total: int = 100, warmup: float = 0.1) -> list[float]:
    config = TrainerConfig.model_validate({"schedule": schedule, "warmup_ratio": warmup})
    return [learning_rate_factor(config, step, total) for step in range(total)]


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_warm_up_rises_to_the_peak(schedule: str) -> None:
    values = rates(schedule)
    assert values[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert values[10] == 1.0


def test_linear_and_cosine_fall_to_almost_nothing() -> None:
    for schedule in ("linear", "cosine"):
        values = rates(schedule)[10:]
        assert values == sorted(values, reverse=True)
        assert 0 < values[-1] < 0.02
    assert rates("linear")[55] == pytest.approx(0.5)
    assert rates("cosine")[55] == pytest.approx(0.5)
    assert set(rates("constant")[10:]) == {1.0}


@pytest.mark.parametrize("max_norm", [None, 0.1, 100.0])
def test_a_step_divides_then_clips_as_torch_does(max_norm: float | None) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(5, 3), nn.Linear(5, 3)]
    layers[1].load_state_dict(layers[0].state_dict())
    x = torch.randn(8, 5)
    total = layers[0](x).square().sum()
    total.backward()
    (layers[1](x).square().sum() / 8).backward()
    optimizers = [build_optimizer([ParameterGroup(list(layer.parameters()), 0.01)], 0.1) for layer in layers]
    gradients = [parameter.grad for parameter in layers[0].parameters() if parameter.grad is not None]
    norm, unsound = scaled_step(optimizers[0], gradients, total.detach(), torch.tensor(8.0), max_norm)
    assert not unsound
    expected = nn.utils.clip_grad_norm_(layers[1].parameters(), max_norm if max_norm is not None else 1e9)
    optimizers[1].step()
    torch.testing.assert_close(norm, expected)
    for ours, theirs in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
        for name in ("exp_avg", "exp_avg_sq"):  # the weights alone hardly tell how large a gradient was
            torch.testing.assert_close(optimizers[0].state[ours][name], optimizers[1].state[theirs][name])
