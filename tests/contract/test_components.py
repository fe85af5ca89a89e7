"""What every registered component must do, first-party or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headstock.console import Console
from headstock.engine.module import TuningModule
from headstock.engine.run import resolve_recipe
from headstock.engine.saved import load_model, save_model
from headstock.engine.setup import build_module, prepare_data
from headstock.examples.prepare import PreparedSplit
from headstock.interfaces import Config
from headstock.recipe.components import component_class
from headstock.recipe.resolve import ResolvedRecipe
from headstock_registry import Entry, load_catalogue

CATALOGUE = load_catalogue()
OPTIONS = {"torchvision": ["backbone.model=resnet18", "backbone.weights=none", "backbone.image_size=32"]}
COMPONENTS = [entry for entry in CATALOGUE.entries() if entry.kind != "command"]
PAIRS = [
    (task.name, backbone.name)
    for task in CATALOGUE.entries("task")
    for backbone in CATALOGUE.entries("backbone")
    if backbone.modality == task.modality
]
ADAPTERS = CATALOGUE.names("adapter")

Built = tuple[ResolvedRecipe, TuningModule, dict[str, PreparedSplit]]


@pytest.fixture(scope="module")
def build(tiny_models: dict[str, Path]) -> Callable[..., Built]:
    def build(task: str, backbone: str, adapter: str = "full", base: Path | None = None) -> Built:
        options = list(OPTIONS.get(backbone, []))
        if backbone.startswith("transformers-"):
            modality = str(CATALOGUE.get("backbone", backbone).modality)
            options.append(f"backbone.model={tiny_models[modality]}")
        resolved = resolve_recipe(
            CATALOGUE, task, [f"backbone={backbone}", *options, f"adapter={adapter}", "data.limit=24", "device=cpu"]
        )
        data = prepare_data(resolved, Console(quiet=True))
        module = build_module(resolved, data, base)
        return resolved, module.eval(), data.splits

    return build


def identity(value: Any) -> str:
    return str(value.name) if isinstance(value, Entry) else str(value)


def test_all_plugins_load() -> None:
    assert CATALOGUE.failures == ()
    assert CATALOGUE.conflicts == ()


@pytest.mark.parametrize("entry", COMPONENTS, ids=identity)
def test_options_are_documented_frozen_and_closed(entry: Entry) -> None:
    config = component_class(CATALOGUE, entry).Config
    assert issubclass(config, Config)
    assert config.model_config["frozen"]
    assert config.model_config["extra"] == "forbid"
    undocumented = [name for name, field in config.model_fields.items() if not field.description]
    assert undocumented == []
    assert json.dumps(config.model_json_schema())


@pytest.mark.parametrize("entry", COMPONENTS, ids=identity)
def test_summaries_are_one_short_line(entry: Entry) -> None:
    assert "\n" not in entry.summary
    assert not entry.summary.endswith(".")


@pytest.mark.parametrize("entry", CATALOGUE.entries("task"), ids=identity)
def test_samples_have_three_splits_that_share_no_input(entry: Entry) -> None:
    cls = component_class(CATALOGUE, entry)
    task = cls(cls.Config())
    sample = task.sample()
    assert set(sample) == {"train", "validation", "test"}
    main = task.columns[0].name
    seen: dict[str, str] = {}
    for split, rows in sample.items():
        assert len(rows) >= 10
        for row in rows:
            task.inputs(row)
            task.reference(row)
            key = repr(row[main]) if isinstance(row[main], str | list) else _bytes(row[main])
            assert seen.setdefault(key, split) == split, f"{split} and {seen[key]} share an input"


def _bytes(value: Any) -> str:
    array = np.asarray(value["array"] if isinstance(value, dict) else value)
    return array.tobytes().hex()


@pytest.mark.parametrize(("task", "backbone"), PAIRS)
def test_an_example_does_not_depend_on_its_neighbours(build: Callable[..., Built], task: str, backbone: str) -> None:
    _, module, splits = build(task, backbone)
    split = splits["train"]
    numbers = list(range(6))
    with torch.no_grad():
        together = module(split.batch(numbers, module.backbone, module.task))
        features = module.backbone(split.batch(numbers, module.backbone, module.task).inputs)
        losses = []
        for number in numbers:
            batch = split.batch([number], module.backbone, module.task)
            alone = module(batch)
            single = module.backbone(batch.inputs)
            length = int(single.mask.sum())
            torch.testing.assert_close(features.pooled[number], single.pooled[0], rtol=1e-3, atol=2e-4)
            torch.testing.assert_close(
                features.sequence[number, : single.sequence.shape[1]][features.mask[number, : single.mask.shape[1]]],
                single.sequence[0][single.mask[0]],
                rtol=1e-3,
                atol=2e-4,
            )
            assert int(features.mask[number].sum()) == length
            losses.append(alone.loss)
    total = sum(loss.total for loss in losses)
    count = sum(loss.count for loss in losses)
    torch.testing.assert_close(together.loss.total, total, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(together.loss.count, count)


@pytest.mark.parametrize(("task", "backbone"), PAIRS)
def test_features_have_the_declared_shapes_and_cost_is_positive(
    build: Callable[..., Built], task: str, backbone: str
) -> None:
    _, module, splits = build(task, backbone)
    split = splits["train"]
    features = module.backbone(split.batch([0, 1, 2], module.backbone, module.task).inputs)
    size, length, width = features.sequence.shape
    assert (size, width) == (3, module.backbone.feature_dim)
    assert features.mask.shape == (size, length)
    assert features.mask.dtype == torch.bool
    assert features.pooled.shape == (size, width)
    assert (split.costs >= 1).all()


@pytest.mark.parametrize(("task", "backbone"), PAIRS)
def test_bf16_autocast_trains(build: Callable[..., Built], task: str, backbone: str) -> None:
    _, module, splits = build(task, backbone)
    module.train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = module(splits["train"].batch([0, 1, 2, 3], module.backbone, module.task))
    output.loss.total.backward()
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("task", "backbone", "adapter"),
    [
        *((task, backbone, "full") for task, backbone in PAIRS),
        *((task, backbone, adapter) for task, backbone in PAIRS for adapter in ADAPTERS if adapter != "full"),
    ],
)
def test_a_saved_model_predicts_the_same(
    build: Callable[..., Built], tmp_path: Path, task: str, backbone: str, adapter: str
) -> None:
    _skip_unless_it_fits(backbone, adapter)
    resolved, module, splits = build(task, backbone, adapter, tmp_path / "base")
    _nudge(module)
    save_model(resolved, module, tmp_path / "model", tmp_path / "base" if (tmp_path / "base").exists() else None)
    _, loaded = load_model(CATALOGUE, tmp_path / "model")
    batch = splits["test"].batch([0, 1, 2], module.backbone, module.task)
    with torch.no_grad():
        expected, got = module(batch).outputs, loaded(batch).outputs
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-4)
    assert module.task.decode(expected, batch) == loaded.task.decode(got, batch)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in {".pt", ".pkl", ".pth"}]


def _skip_unless_it_fits(backbone: str, adapter: str) -> None:
    if (backbone, adapter) == ("bilstm", "lora"):
        pytest.skip("an LSTM has no linear layer for LoRA to wrap")


def _nudge(module: TuningModule) -> None:
    """Change what is trainable a little, as training would."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.01)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(("task", "backbone"), PAIRS)
def test_an_adapter_changes_what_it_says(build: Callable[..., Built], task: str, backbone: str, adapter: str) -> None:
    _skip_unless_it_fits(backbone, adapter)
    _, module, splits = build(task, backbone, adapter)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trainable = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        module.train()
        module(splits["train"].batch([0, 1, 2, 3], module.backbone, module.task)).loss.total.backward()
        optimizer.step()
    changed = {name for name, value in module.state_dict().items() if not value.equal(before[name])}
    buffers = {name for name, _ in module.named_buffers()}
    assert changed - buffers <= trainable
    if module.adapter.keeps_base:
        assert not changed & buffers
    assert changed & trainable
