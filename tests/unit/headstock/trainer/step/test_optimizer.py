import pytest
import torch
from torch import nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.embedding_gradients import LARGE, GradientBuffers, gradient_buffers
from headstock.trainer.step.adamw import AdamW
from headstock.trainer.step.optimizer import (
    ParameterGroup,
    build_optimizer,
    learning_rate_factor,
    load_optimizer_tensors,
    optimizer_tensors,
    scaled_step,
    set_learning_rate,
)


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


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 64), nn.LayerNorm(64), nn.Linear(64, 3))


def own(model: nn.Module) -> AdamW:
    return build_optimizer([ParameterGroup(list(model.parameters()), 0.01)], 0.1)


def torch_adamw(model: nn.Module) -> torch.optim.AdamW:
    groups = own(model).param_groups
    return torch.optim.AdamW([{"params": g["params"], "lr": 0.01, "weight_decay": g["weight_decay"]} for g in groups])


def take_step(model: nn.Module, optimizer: AdamW, step: int, parts: int = 3, broken: bool = False) -> None:
    """Take a step of the first ``parts`` layers, or of a loss that is not finite."""
    model.zero_grad()
    value = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
    for layer in list(model.children())[:parts]:
        value = layer(value)
    total = value.square().sum() * (float("nan") if broken else 1.0)
    total.backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    set_learning_rate(optimizer, 1 / (step + 1))
    scaled_step(optimizer, gradients, total.detach(), torch.tensor(4.0), None)


def everything(model: nn.Module, optimizer: AdamW) -> dict[str, torch.Tensor]:
    return {**model.state_dict(), **optimizer_tensors(optimizer)}


def test_many_steps_are_those_of_torch() -> None:
    model, other = network(), network()
    ours, theirs = own(model), torch_adamw(other)
    for step in range(6):
        take_step(model, ours, step)
        other.zero_grad()
        value = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
        (other(value).square().sum() / 4).backward()
        for group in theirs.param_groups:
            group["lr"] = 0.01 / (step + 1)
        theirs.step()
    for name, value in other.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert [float(state["step"]) for state in ours.state.values()] == [6.0] * 6


def test_a_step_that_is_not_finite_changes_nothing() -> None:
    model = network()
    optimizer = own(model)
    for step in range(3):
        take_step(model, optimizer, step)
    before = {name: value.clone() for name, value in everything(model, optimizer).items()}
    take_step(model, optimizer, 3, broken=True)
    torch.testing.assert_close(everything(model, optimizer), before, rtol=0, atol=0)
    take_step(model, optimizer, 4)
    assert float(optimizer.state[model[0].weight]["step"]) == 4


def test_a_parameter_without_gradient_is_left_out_of_a_step() -> None:
    model = network()
    optimizer = own(model)
    for step in range(3):
        take_step(model, optimizer, step)
    before = model[2].weight.detach().clone()
    take_step(model, optimizer, 3, parts=2)
    assert torch.equal(model[2].weight, before)
    take_step(model, optimizer, 4)
    assert not torch.equal(model[2].weight, before)
    assert [float(optimizer.state[model[part].weight]["step"]) for part in (0, 2)] == [5.0, 4.0]


def test_a_state_that_was_put_back_goes_on_to_the_bit() -> None:
    model, resumed = network(), network()
    optimizer, fresh = own(model), own(resumed)
    for step in range(3):
        take_step(model, optimizer, step)
    take_step(resumed, fresh, 9)
    take_step(resumed, fresh, 9)
    resumed.load_state_dict(model.state_dict())
    load_optimizer_tensors(fresh, {name: value.clone() for name, value in optimizer_tensors(optimizer).items()})
    for step in range(3, 6):
        take_step(model, optimizer, step)
        take_step(resumed, fresh, step)
    torch.testing.assert_close(everything(resumed, fresh), everything(model, optimizer), rtol=0, atol=0)


class Lookup(nn.Module):
    """A table, large enough for gradients by rows, and a layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(LARGE // 16, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.table(numbers))
        return logits


def rows_of_step(step: int) -> torch.Tensor:
    return torch.randint(0, 2000, (40,), generator=torch.Generator().manual_seed(step))


def take_table_step(
    model: Lookup, optimizer: AdamW, buffers: GradientBuffers, step: int, by_rows: bool = True, **cases: bool
) -> None:
    numbers = torch.arange(LARGE // 16) if cases.get("many") else rows_of_step(step)
    total = model(numbers).square().sum() * (float("nan") if cases.get("broken") else 1.0)
    if cases.get("tied"):
        total = total + model.table.weight[:7].square().sum()
    if cases.get("unused"):
        total = model.head(torch.ones(16)).square().sum()
    total.backward()
    set_learning_rate(optimizer, 1 / (step + 1))
    gradients = buffers.gradients(list(model.parameters()))
    rows = buffers.rows() if by_rows else {}
    scaled_step(optimizer, gradients, total.detach(), torch.tensor(40.0), 1.0, rows=rows)
    for parameter in model.parameters():
        parameter.grad = None


def table_run(by_rows: bool, steps: int = 6, **cases: int) -> dict[str, torch.Tensor]:
    """Take steps, of which some may be special, and return weights and state."""
    model = Lookup()
    optimizer = own(model)
    with gradient_buffers(model) as buffers:
        for step in range(steps):
            chosen = {name: at == step for name, at in cases.items()}
            take_table_step(model, optimizer, buffers, step, by_rows, **chosen)
    return {name: value.clone() for name, value in everything(model, optimizer).items()}


@pytest.mark.parametrize("case", [{}, {"broken": 3}, {"tied": 3}, {"unused": 3}, {"many": 3}, {"unused": 0}], ids=str)
def test_a_table_by_rows_has_the_numbers_of_the_whole(case: dict[str, int]) -> None:
    torch.testing.assert_close(table_run(True, **case), table_run(False, **case), rtol=0, atol=0)


def test_a_table_goes_on_to_the_bit_from_a_state_that_was_put_back() -> None:
    model, resumed = Lookup(), Lookup()
    optimizer, fresh = own(model), own(resumed)
    with gradient_buffers(model) as buffers, gradient_buffers(resumed) as others:
        for step in range(4):
            take_table_step(model, optimizer, buffers, step)
        for step in (8, 9):
            take_table_step(resumed, fresh, others, step)
        resumed.load_state_dict(model.state_dict())
        load_optimizer_tensors(fresh, {name: value.clone() for name, value in optimizer_tensors(optimizer).items()})
        for step in range(4, 7):
            take_table_step(model, optimizer, buffers, step)
            take_table_step(resumed, fresh, others, step)
    torch.testing.assert_close(everything(resumed, fresh), everything(model, optimizer), rtol=0, atol=0)
