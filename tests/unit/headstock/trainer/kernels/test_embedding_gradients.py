"""Large embedding tables keep their gradient's memory, and nothing else about them changes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from headstock.trainer.kernels.embedding_gradients import LARGE, gradient_buffers

WIDTH = 64
ROWS = LARGE // WIDTH
NUMBERS = torch.tensor([[0, 5, 5, 7], [9, 0, ROWS - 1, 5]])


class Model(nn.Module):
    def __init__(self, rows: int = ROWS, **options: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(rows, WIDTH, padding_idx=0, **options)
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, numbers: Tensor) -> Tensor:
        logits: Tensor = self.head(self.table(numbers).mean(dim=1).tanh())
        return logits.square().sum()


def gradient(model: Model) -> Tensor:
    model.zero_grad(set_to_none=True)
    model(NUMBERS).backward()
    assert model.table.weight.grad is not None
    return model.table.weight.grad


def test_gradients_are_the_same_at_every_step() -> None:
    expected = gradient(Model()).clone()
    model = Model()
    with gradient_buffers(model):
        for _ in range(3):
            found = gradient(model)
            assert found.layout == torch.strided
            torch.testing.assert_close(found, expected)


def test_the_memory_is_the_same_at_every_step() -> None:
    model = Model()
    with gradient_buffers(model):
        addresses = {gradient(model).data_ptr() for _ in range(3)}
    assert len(addresses) == 1


def test_gradients_of_several_batches_add_up() -> None:
    model = Model()
    with gradient_buffers(model):
        single = gradient(model).clone()
        model(NUMBERS).backward()
        assert model.table.weight.grad is not None
        torch.testing.assert_close(model.table.weight.grad, 2 * single)


def test_a_table_that_is_not_used_has_no_gradient() -> None:
    model = Model()
    with gradient_buffers(model):
        model.zero_grad(set_to_none=True)
        model.head(torch.ones(WIDTH)).sum().backward()
        assert model.table.weight.grad is None


def test_a_weight_that_is_also_the_output_layer_gets_both_gradients() -> None:
    def loss(model: Model) -> Tensor:
        return (model.table(NUMBERS).mean(dim=1) @ model.table.weight[:50].T).square().sum()

    plain, kept = Model(), Model()
    loss(plain).backward()
    with gradient_buffers(kept):
        loss(kept).backward()
    assert plain.table.weight.grad is not None
    assert kept.table.weight.grad is not None
    torch.testing.assert_close(kept.table.weight.grad, plain.table.weight.grad)


def test_all_is_as_before_at_the_end() -> None:
    model = Model()
    with gradient_buffers(model):
        assert model.table.sparse
    assert not model.table.sparse
    assert gradient(model).layout == torch.strided


@pytest.mark.parametrize(
    "make",
    [
        lambda: Model(rows=100),
        lambda: Model(sparse=True),
        lambda: Model(scale_grad_by_freq=True),
        lambda: Model().requires_grad_(False),
    ],
    ids=["small", "sparse", "scaled", "frozen"],
)
def test_others_are_left_alone(make: Callable[[], Model]) -> None:
    model = make()
    before = model.table.sparse
    with gradient_buffers(model):
        assert model.table.sparse == before
        assert not model.table._forward_pre_hooks
        assert not model.table.weight._backward_hooks


def test_rows_of_a_step_are_wiped_for_the_next() -> None:
    model = Model()
    with gradient_buffers(model):
        gradient(model)
        model.zero_grad(set_to_none=True)
        model(torch.tensor([[3]])).backward()
        found = model.table.weight.grad
        assert found is not None
        assert found.abs().sum(dim=1).nonzero().tolist() == [[3]]


def test_all_is_wiped_where_more_than_rows_was_added() -> None:
    model = Model()
    with gradient_buffers(model) as buffers:
        (model(NUMBERS) + model.table.weight.square().sum()).backward()  # as a tied output layer does
        whole = buffers.gradients([model.table.weight])[0]
        assert whole.shape == model.table.weight.shape
        torch.testing.assert_close(gradient(model), gradient(Model()))


def test_the_norm_is_that_of_the_whole() -> None:
    model = Model()
    with gradient_buffers(model) as buffers:
        gradient(model)
        model(NUMBERS[:1]).backward()
        parameters = list(model.parameters())
        found = buffers.gradients(parameters)
        assert found[0].shape == (4, WIDTH)  # rows that occur, less the padding
        whole = [parameter.grad for parameter in parameters if parameter.grad is not None]
        torch.testing.assert_close(nn.utils.get_total_norm(found), nn.utils.get_total_norm(whole))


def test_what_has_no_gradient_has_none_in_the_list() -> None:
    model = Model()
    with gradient_buffers(model) as buffers:
        assert buffers.gradients(list(model.parameters())) == []
