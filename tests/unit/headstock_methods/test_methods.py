"""What each method makes of a loss that can be reckoned by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import headstock
from headstock import Batch, Features, HeadstockError, Loss, StepOutput, TrainingModel
from headstock.kits import categorical_divergence
from headstock.trainer.kernels.embedding_gradients import LARGE, gradient_buffers
from headstock_methods.averaged.ema import Ema, EmaConfig
from headstock_methods.averaged.swa import Swa, SwaConfig
from headstock_methods.distillation import Distillation, DistillationConfig
from headstock_methods.layer_decay import LayerDecay, LayerDecayConfig
from headstock_methods.mixup import Mixup, MixupConfig
from headstock_methods.perturbed.inputs import Fgm, FgmConfig, FreeLb, FreeLbConfig, Pgd, PgdConfig
from headstock_methods.perturbed.noise import Neftune, NeftuneConfig
from headstock_methods.perturbed.virtual import Vat, VatConfig
from headstock_methods.perturbed.weights import Awp, AwpConfig, Sam, SamConfig
from headstock_methods.r_drop import RDrop, RDropConfig

X = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]], [[1.0, 2.0], [2.0, 0.0], [0.0, 0.0]]])
"""Two examples of two tokens and one of padding."""
MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])


class Toy(TrainingModel):
    """Logits are a linear layer on the sum of the tokens; what is asked of it is recorded."""

    def __init__(self, x: Tensor = X, dropout: float = 0.0, inside: bool = False, reads: tuple[str, ...] = ("pooled",)):
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 2))
        self.x, self.dropout, self.inside, self.read = x.clone().requires_grad_(), dropout, inside, reads
        self.seen: list[Tensor] = []

    def embed(self, batch: Batch) -> Tensor:
        return self.x * 1.0

    def forward(
        self, batch: Batch, embedded: Tensor | None = None, parameters: Mapping[str, Tensor] | None = None
    ) -> StepOutput:
        embedded = self.embed(batch) if embedded is None else embedded
        self.seen.append(embedded.detach())
        weight = (parameters or {}).get("weight", self.weight)
        pooled = (embedded * MASK.unsqueeze(-1)).sum(1) if batch.features is None else batch.features.pooled
        logits = nn.functional.dropout(pooled, self.dropout) @ weight.t()
        total = nn.functional.cross_entropy(logits, batch.targets["label"], reduction="sum")
        return StepOutput({"logits": logits}, Loss(total, torch.tensor(float(batch.size))))

    def loss(self, batch: Batch, embedded: Tensor | None = None, parameters: Any = None) -> Loss:
        found = self.forward(batch, embedded, parameters).loss
        assert found is not None
        return found

    def features(self, batch: Batch, embedded: Tensor | None = None) -> Features:
        embedded = self.embed(batch) if embedded is None else embedded
        return Features(embedded, MASK.bool(), (embedded * MASK.unsqueeze(-1)).sum(1))

    @property
    def compares(self) -> bool:
        return True

    def divergence(self, outputs: Mapping[str, Tensor], reference: Mapping[str, Tensor], batch: Batch) -> Loss:
        return categorical_divergence(outputs["logits"], reference["logits"])

    @property
    def changed_inside(self) -> bool:
        return self.inside

    @property
    def task_state(self) -> Mapping[str, Any]:
        return {"labels": ["a", "b", "c"]}

    @property
    def reads(self) -> tuple[str, ...]:
        return self.read

    def parameters(self) -> dict[str, nn.Parameter]:
        return {"weight": self.weight}


BATCH = Batch({}, {"label": torch.tensor([0, 2])}, 2)


def plain(model: Toy, embedded: Tensor | None = None) -> float:
    return value(model.loss(BATCH, embedded))


def value(loss: Loss) -> float:
    return float(loss.total.detach())


def moves(model: Toy, index: int) -> Tensor:
    """How far an input that was asked for lies from the given one, by example, as a share of its norm."""
    return (model.seen[index] - X).flatten(1).norm(dim=1) / X.flatten(1).norm(dim=1)


def test_fgm_moves_each_example_up_its_own_gradient() -> None:
    model = Toy()
    found = Fgm(FgmConfig(radius=0.5)).loss(model, BATCH)
    torch.testing.assert_close(moves(model, 1), torch.full((2,), 0.5))
    assert not (model.seen[1] - X)[:, 2].any()  # padding stays
    clean, moved = plain(model), plain(model, model.seen[1])
    assert moved > clean
    assert value(found) == pytest.approx((clean + moved) / 2)
    assert float(found.count) == 2
    (gradient,) = torch.autograd.grad(model.loss(BATCH, model.x).total, model.x)
    torch.testing.assert_close(
        nn.functional.normalize((model.seen[1] - X).flatten(1)), nn.functional.normalize(gradient.flatten(1))
    )


@pytest.mark.parametrize("step_size", [0.4, 3.0])
def test_pgd_and_freelb_stay_within_the_radius(step_size: float) -> None:
    model = Toy()
    config = PgdConfig(radius=0.5, steps=4, step_size=step_size)
    found = Pgd(config).loss(model, BATCH)
    assert len(model.seen) == 5
    for index in range(1, 5):
        assert (moves(model, index) <= 0.5 + 1e-6).all()
    torch.testing.assert_close(moves(model, 4), torch.full((2,), 0.5))
    assert value(found) == pytest.approx((plain(model, X) + plain(model, model.seen[4])) / 2)

    model = Toy()
    found = FreeLb(FreeLbConfig(radius=0.5, steps=4, step_size=step_size)).loss(model, BATCH)
    assert value(found) == pytest.approx(sum(plain(model, each) for each in model.seen[:5]) / 5)


def test_a_frozen_input_is_moved_too() -> None:
    model = Toy()
    model.x = X
    found = Fgm(FgmConfig(radius=0.5)).loss(model, BATCH)
    torch.testing.assert_close(moves(model, 1), torch.full((2,), 0.5))
    found.total.backward()  # type: ignore[no-untyped-call]
    assert model.weight.grad is not None


def test_noise_is_within_its_width() -> None:
    model = Toy()
    Neftune(NeftuneConfig(alpha=2.0)).loss(model, BATCH)
    noise = model.seen[0] - X
    assert 0 < noise.abs().max() <= 2.0 / 6**0.5


def test_awp_and_sam_take_the_loss_where_the_weights_have_moved() -> None:
    model = Toy()
    (gradient,) = torch.autograd.grad(model.loss(BATCH).total / 2, model.weight)
    moved = model.weight.detach() + gradient * (0.1 * model.weight.detach().norm() / gradient.norm())
    expected = value(model.loss(BATCH, parameters={"weight": moved}))
    found = Awp(AwpConfig(radius=0.1)).loss(model, BATCH)
    assert value(found) == pytest.approx((plain(model) + expected) / 2)

    leaf = (model.weight.detach() + 0.3 * gradient / gradient.norm()).requires_grad_()
    wanted = model.loss(BATCH, parameters={"weight": leaf})
    (wanted_gradient,) = torch.autograd.grad(wanted.total, leaf)
    found = Sam(SamConfig(radius=0.3)).loss(model, BATCH)
    assert value(found) == pytest.approx(value(wanted))
    assert model.weight.grad is None
    found.total.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(model.weight.grad, wanted_gradient)


def test_r_drop_and_vat_compare_outputs() -> None:
    same = RDrop(RDropConfig(weight=3.0)).loss(Toy(), BATCH)
    assert value(same) == pytest.approx(plain(Toy()))
    torch.manual_seed(1)
    apart = RDrop(RDropConfig(weight=3.0)).loss(Toy(dropout=0.5), BATCH)
    torch.manual_seed(1)
    less = RDrop(RDropConfig(weight=1.0)).loss(Toy(dropout=0.5), BATCH)
    assert value(apart) > value(less)

    model = Toy()
    found = Vat(VatConfig(radius=0.2, weight=2.0)).loss(model, BATCH)
    torch.testing.assert_close(moves(model, 2), torch.full((2,), 0.2))
    ours = Toy().forward(BATCH, model.seen[2]).outputs["logits"]
    gap = categorical_divergence(ours, Toy().forward(BATCH).outputs["logits"])
    assert value(found) == pytest.approx(plain(Toy()) + 2.0 * value(gap), rel=1e-4)
    both = Vat(VatConfig(radius=0.2, weight=2.0, symmetric=True)).loss(Toy(), BATCH)
    assert value(both) > value(found)


@pytest.mark.parametrize("method", [RDrop(RDropConfig()), Vat(VatConfig())], ids=["r-drop", "vat"])
def test_outputs_that_a_method_inside_changes_are_refused(method: RDrop | Vat) -> None:
    method.begin(Toy(), [])
    with pytest.raises(HeadstockError, match="name it after the others in 'methods'"):
        method.begin(Toy(inside=True), [])


def test_mixup_mixes_features_and_losses() -> None:
    torch.manual_seed(3)
    model = Toy()
    order = torch.randperm(2)
    share = float(torch.distributions.Beta(0.2, 0.2).sample())
    torch.manual_seed(3)
    found = Mixup(MixupConfig()).loss(model, BATCH)
    pooled = (X * MASK.unsqueeze(-1)).sum(1)
    mixed = share * pooled + (1 - share) * pooled[order]
    logits = mixed @ model.weight.t()
    label = BATCH.targets["label"]
    one, two = (nn.functional.cross_entropy(logits, each, reduction="sum") for each in (label, label[order]))
    assert value(found) == pytest.approx(float((share * one + (1 - share) * two).detach()))
    assert float(found.count) == pytest.approx(2.0)
    with pytest.raises(HeadstockError, match="mixes whole examples"):
        Mixup(MixupConfig()).begin(Toy(reads=("sequence", "pooled")), [])
    with pytest.raises(HeadstockError, match=r"needs images \(B, C, H, W\), not \(2, 3, 2\)"):
        Mixup(MixupConfig(where="input")).loss(model, BATCH)
    with pytest.raises(HeadstockError, match="name it after the others"):
        Mixup(MixupConfig()).begin(Toy(inside=True), [])
    with pytest.raises(ValueError, match="needs where=input"):
        MixupConfig(cut=True)


def test_a_rectangle_is_pasted_by_its_share() -> None:
    from headstock_methods.mixup import _pasted

    torch.manual_seed(0)
    found, share = _pasted(torch.zeros(2, 3, 8, 8), torch.ones(2, 3, 8, 8), 0.75)
    assert float(found.mean()) == pytest.approx(1 - share)
    assert share == pytest.approx(0.75)


@torch.no_grad()
def test_averages_of_weights() -> None:
    model = Toy()
    ema, swa = Ema(EmaConfig(decay=0.5)), Swa(SwaConfig(start=0.5))
    start = model.weight.clone()
    ema.begin(model, [])
    swa.begin(model, [])
    seen, average = [], start
    for step in range(1, 5):
        model.weight += 1.0
        seen.append(model.weight.clone())
        average = average.lerp(model.weight, 1 - min(0.5, (1 + step) / (10 + step)))
        ema.after_step(model, step, 4)
        swa.after_step(model, step, 4)
    for method, wanted in ((ema, average), (swa, (seen[2] + seen[3]) / 2)):
        method.exchange(model)
        torch.testing.assert_close(model.weight, wanted)
        method.exchange(model)
        torch.testing.assert_close(model.weight, seen[3])


@torch.no_grad()
def test_without_a_mean_the_weights_stay() -> None:
    model = Toy()
    swa = Swa(SwaConfig(start=0.5))
    swa.begin(model, [])
    before = model.weight.clone()
    swa.exchange(model)
    torch.testing.assert_close(model.weight, before)


class Layered(Toy):
    """Parameters called like those of an encoder."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def parameters(self) -> dict[str, nn.Parameter]:
        return {name: nn.Parameter(torch.zeros(2 if ".layer." in name else 1)) for name in self.names}


def test_lower_layers_have_smaller_rates() -> None:
    names = ["embeddings.weight", *(f"encoder.layer.{n}.weight" for n in range(3)), "norm.weight"]
    model = Layered([*(f"backbone.body.{name}" for name in names), "head.1.weight"])
    factors = LayerDecay(LayerDecayConfig(decay=0.5)).rate_factors(model)
    assert [factors.get(name, 1.0) for name in model.names] == [0.125, 0.25, 0.5, 1.0, 1.0, 1.0]
    for others in (
        ["backbone.body.layers.0.weight", "head.0.weight"],
        [f"backbone.branches.{n}.weight" for n in (0, 1)],
    ):
        with pytest.raises(HeadstockError, match="finds no layers"):
            LayerDecay(LayerDecayConfig()).rate_factors(Layered(others))


def test_moved_weights_of_a_large_table_have_the_same_gradient_in_a_buffer() -> None:
    table = nn.Embedding(LARGE // 4, 4)
    ids = torch.tensor([[1, 5], [9, 5]])

    class Tables(Toy):
        def loss(self, batch: Batch, embedded: Tensor | None = None, parameters: Any = None) -> Loss:
            found = torch.func.functional_call(table, dict(parameters or {}), (ids,))
            return Loss(found.square().sum(), torch.tensor(2.0))

        def parameters(self) -> dict[str, nn.Parameter]:
            return {"weight": table.weight}

    for method in (Sam(SamConfig()), Awp(AwpConfig())):
        method.loss(Tables(), BATCH).total.backward()  # type: ignore[no-untyped-call]
        assert table.weight.grad is not None
        wanted, table.weight.grad = table.weight.grad, None
        with gradient_buffers(nn.Sequential(table)) as buffers:
            method.loss(Tables(), BATCH).total.backward()  # type: ignore[no-untyped-call]
            torch.testing.assert_close(table.weight.grad, wanted)
            rows = buffers.rows()[table.weight]
            assert rows is None or set(rows.tolist()) >= {1, 5, 9}
        table.weight.grad = None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["methods=[ema, swa]"], "method ema does not go together with method swa"),
        (["methods=[awp, sam]"], "method awp does not go together with method sam"),
        (["methods=[fgm, sam]"], "method sam does not go together with method fgm"),
        (["methods=[sam, mixup]"], "method sam does not go together with method mixup"),
        (["methods=awp", "gradient_checkpointing=true"], "method awp does not go together with trainer.gradient_check"),
        (["methods=[r-drop, ema]", "trainer.fsdp=true"], "method ema does not go together with trainer.fsdp"),
        (["methods=[mixup, fgm]"], "method mixup mixes what the task reads: name it after the others"),
        (["methods=[r-drop, fgm]"], "method r-drop compares the task's own outputs: name it after the others"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_written(
    overrides: list[str], message: str, tmp_path: Path
) -> None:
    options = ["backbone=textcnn", "data.limit=20", "max_steps=1", "device=cpu", *overrides]
    with pytest.raises(HeadstockError, match=message):
        headstock.run("text-classification", options, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["r-drop", "vat"])
def test_weighted_classes_hold_in_pieces(name: str, tmp_path: Path) -> None:
    from headstock.testing import run_checks

    options = ["task=text-classification", "backbone=textcnn", "task.class_weights=balanced"]
    results = list(run_checks(name, options, kind="method", only=["method-holds-in-pieces"]))
    assert [result.status for result in results] != ["failed"]


def test_divergence_is_weighted_as_the_loss_is() -> None:
    task = headstock.Classification
    made = _weighted(task)
    logits, others = torch.randn(3, 2), torch.randn(3, 2)
    batch = Batch({}, {"label": torch.tensor([0, 1, 1])}, 3)
    found = made.divergence({"logits": logits}, {"logits": others}, batch)
    each = [categorical_divergence(logits[n : n + 1], others[n : n + 1]).total for n in range(3)]
    torch.testing.assert_close(found.total, 3 * each[0] + each[1] + each[2])
    torch.testing.assert_close(found.count, made.loss({"logits": logits}, batch).count)


def _weighted(base: Any) -> Any:
    from headstock_text.tasks.text_classification import TextClassification, TextClassificationConfig

    assert issubclass(TextClassification, base)
    task = TextClassification(TextClassificationConfig(class_weights={"a": 3.0, "b": 1.0}))
    task.learn(["a", "b", "b"])
    return task


def test_distillation_adds_what_the_teacher_says_of_each_example(monkeypatch: pytest.MonkeyPatch) -> None:
    said = torch.randn(5, 3)
    teacher = SimpleNamespace(
        task=SimpleNamespace(state=lambda: {"labels": ["a", "b", "c"]}),
        outputs=lambda inputs: iter([{"logits": said[:4]}, {"logits": said[4:]}]),
    )
    monkeypatch.setattr("headstock_methods.distillation.load", lambda place: teacher)
    batch = Batch({}, BATCH.targets, 2, indices=torch.tensor([4, 1]))
    method, model = Distillation(DistillationConfig(teacher=Path("run"), weight=0.25, temperature=3.0)), Toy()
    method.begin(model, [])
    found = method.loss(model, batch)
    logits = model.forward(batch).outputs["logits"]
    gap = categorical_divergence(logits / 3.0, said[[4, 1]] / 3.0)
    assert value(found) == pytest.approx(0.75 * plain(model) + 0.25 * 9.0 * value(gap), rel=1e-5)

    # Resumed, the checkpoint brings what the teacher said at first.
    said += 1e-3
    again = Distillation(method.config)
    again.begin(model, [])
    again.memory.load_state_dict(method.memory.state_dict())
    with pytest.raises(HeadstockError, match="says other things than when the run began"):
        again.loss(model, batch)
