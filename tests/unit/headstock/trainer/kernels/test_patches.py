"""A patch of the process stays while somebody uses it, in whatever order they come and go."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from headstock.trainer.config import TrainerConfig
from headstock.trainer.kernels.patches import PatchManager, Undo
from headstock.trainer.kernels.training_kernels import training_kernels


class Place:
    """Something that a patch changes, and how often."""

    def __init__(self) -> None:
        self.value, self.applied = "original", 0

    def patch(self) -> Undo:
        self.value = "patched"
        self.applied += 1
        return lambda: setattr(self, "value", "original")


@pytest.fixture
def place() -> Place:
    return Place()


def test_contexts_left_in_the_order_they_were_entered(place: Place) -> None:
    manager = PatchManager()
    first, second = manager.active("p", place.patch), manager.active("p", place.patch)
    first.__enter__()
    second.__enter__()
    assert (place.applied, manager.users("p")) == (1, 2)
    first.__exit__(None, None, None)
    assert place.value == "patched"
    second.__exit__(None, None, None)
    assert (place.value, manager.users("p")) == ("original", 0)


def test_an_error_undoes_a_patch(place: Place) -> None:
    manager = PatchManager()
    with pytest.raises(KeyError), manager.active("p", place.patch):
        raise KeyError
    assert place.value == "original"


def test_a_patch_that_fails_has_no_users() -> None:
    manager = PatchManager()

    def fails() -> Undo:
        raise OSError

    with pytest.raises(OSError), manager.active("p", fails):  # noqa: PT011 - whatever it is
        pass
    assert manager.users("p") == 0


def test_two_trainings_in_threads_leave_torch_as_it_was() -> None:
    original = nn.functional.scaled_dot_product_attention
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with training_kernels(TrainerConfig(), torch.device("cpu")):
            inside.set()
            leave.wait(30)

    with training_kernels(TrainerConfig(), torch.device("cpu")):
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(30)
    assert nn.functional.scaled_dot_product_attention is not original  # the other one still trains
    leave.set()
    thread.join()
    assert nn.functional.scaled_dot_product_attention is original
    assert not torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
