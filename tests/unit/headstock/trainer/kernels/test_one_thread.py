"""A model whose operations are all small is trained on one thread."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from headstock.cpu_threads import COUNTING
from headstock.interfaces import Batch, Loss, StepOutput
from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels import one_thread
from headstock.trainer.kernels.one_thread import SMALL
from headstock.trainer.trainer import Trainer

Make = Callable[..., tuple[nn.Module, Trainer]]


class Watching(nn.Module):
    """Notes with how many threads it is trained; ``width`` is how wide a tensor it makes of each example."""

    def __init__(self, width: int = 8, table: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.table = nn.Embedding(table, 1) if table else None
        self.width = width
        self.threads: set[int] = set()

    def forward(self, batch: Batch) -> StepOutput:
        if self.training:
            self.threads.add(torch.get_num_threads())
        predicted: Tensor = self.layer(batch.inputs["x"]).expand(-1, self.width).exp().mean(dim=1)
        if self.table is not None:
            predicted = predicted + self.table(torch.zeros(batch.size, dtype=torch.int64))[:, 0]
        total = (predicted - batch.targets["y"]).square().sum()
        return StepOutput({}, Loss(total, torch.tensor(float(batch.size))))


@pytest.fixture(autouse=True)
def two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in COUNTING:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def trained(make_trainer: Make, model: Watching, **options: Any) -> set[int]:
    _, trainer = make_trainer(model=model, epochs=1, learning_rate=1e-3, **options)
    trainer.fit()
    assert torch.get_num_threads() == 2
    return model.threads


def test_small_operations_get_one_thread(make_trainer: Make) -> None:
    assert trained(make_trainer, Watching()) == {1}


def test_a_large_table_is_only_looked_up(make_trainer: Make) -> None:
    assert trained(make_trainer, Watching(table=2 * SMALL)) == {1}


def test_a_large_tensor_gets_all_threads(make_trainer: Make) -> None:
    assert trained(make_trainer, Watching(width=SMALL)) == {2}


def test_a_large_weight_gets_all_threads(make_trainer: Make) -> None:
    model = Watching()
    model.extra = nn.Parameter(torch.zeros(SMALL))
    assert trained(make_trainer, model) == {2}


def test_what_the_user_has_said_stays(make_trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert trained(make_trainer, Watching()) == {2}


def test_the_trial_changes_no_number(make_trainer: Make) -> None:
    first, trainer = make_trainer("one", epochs=1)
    trainer.fit()
    torch.set_num_threads(1)  # nothing is tried
    second, trainer = make_trainer("two", epochs=1)
    trainer.fit()
    torch.set_num_threads(2)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


def test_a_model_that_fails_fails_in_its_step(make_trainer: Make) -> None:
    class Failing(Watching):
        def forward(self, batch: Batch) -> StepOutput:
            raise RuntimeError("in training" if self.training else "in the trial")

    with pytest.raises(RuntimeError, match="in training"):
        trained(make_trainer, Failing())


def test_large_element_wise_work_has_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_thread, "MANY", 100)
    before = torch.get_num_threads()
    found = []

    def look(elements: int) -> None:
        with one_thread.all_threads(elements):
            found.append(torch.get_num_threads())
        found.append(torch.get_num_threads())

    look(100)
    batch = Batch({"x": torch.zeros(2, 4)}, {"y": torch.zeros(2)}, 2)
    config, cpu = TrainerConfig(device="cpu", precision="fp32"), torch.device("cpu")
    with one_thread.one_thread_if_small(Watching(), lambda: batch, config, cpu) as single:
        assert single
        look(99)
        look(100)
    assert found == [before, before, 1, 1, before, 1]
    assert torch.get_num_threads() == before
