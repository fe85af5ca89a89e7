"""Whatever happens to a file of the cache, a run sees the same data, and says what it made anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from headstock.console import Console
from headstock.digests import bytes_digest
from headstock.engine.passes.feature_cache import with_fixed_features
from headstock.engine.setup import build_module, prepare_data
from headstock.preprocessing.prepare import PreparedSplit
from headstock.recipe.read import resolve_recipe
from headstock_registry import load_catalogue


def seen(split: PreparedSplit, backbone: Any, task: Any) -> str:
    """Return a digest of all that training reads of a split."""
    batch = split.batch(range(len(split)), backbone, task)
    assert batch.features is not None
    tensors = [*batch.inputs.values(), *batch.targets.values(), batch.features.pooled, batch.features.sequence]
    return bytes_digest(*(tensor.contiguous().numpy().tobytes() for tensor in tensors))


def prepare(options: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Return a digest of each split, and the lines that were shown."""
    resolved = resolve_recipe(load_catalogue(), "token-classification", options)
    shown = io.StringIO()
    console = Console(stream=shown)
    with console.current():
        data = prepare_data(resolved, console)
        module = build_module(resolved, data)
        splits = with_fixed_features(resolved, module, data.splits, console)
    lines = [line for line in shown.getvalue().splitlines() if "cache" in line]
    return {name: seen(split, module.backbone, module.task) for name, split in splits.items()}, lines


def test_damage_to_any_kind_of_file_changes_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    monkeypatch.setenv("HEADSTOCK_CACHE", str(cache))
    for name in ("train", "validation", "test"):
        rows = [f'{{"words": ["{name}", "w{n}", "x"], "tags": ["O", "B-A", "O"]}}' for n in range(4)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows))
    options = {
        "data.path": str(tmp_path),
        "backbone": "bilstm",
        "adapter": "linear-probe",
        "trainer.device": "cpu",
        "trainer.precision": "fp32",
    }
    right, lines = prepare(options)
    assert not lines
    of_each_kind = {(path.relative_to(cache).parts[0], path.name): path for path in cache.rglob("*") if path.is_file()}
    assert {kind for kind, _ in of_each_kind} == {"tables", "examples", "features"}
    every = {"rows.arrow", "store.json", "index.safetensors", "digests.json", "sequence.bin"}
    assert every <= {name for _, name in of_each_kind}
    for number, path in enumerate(of_each_kind.values()):
        sound = path.read_bytes()
        place = (number * 7919) % len(sound)
        flipped = sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]
        path.write_bytes((flipped, sound[:-1])[number % 2])
        found, lines = prepare(options)
        assert found == right, path
        assert len(lines) == 1, path
        assert "made anew" in lines[0]
        assert path.read_bytes() == sound
