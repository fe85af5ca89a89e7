"""What stands in a run's ``model/`` is what the run wrote, or it is not used."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import headstock
from headstock import HeadstockError
from headstock.digests import folder_digests
from headstock.engine.models.model_check import check_model
from headstock.engine.models.model_files import sealed

NAMES = ("model.json", "head.safetensors", "backbone/model.safetensors", "backbone/vocabulary.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checked-model") / "run"
    overrides = {"backbone": "textcnn", "trainer.max_steps": 1, "data.limit": 16, "device": "cpu"}
    return headstock.run("text-classification", overrides, out=folder).path


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def refused(run: Path) -> str:
    with pytest.raises(HeadstockError) as caught:
        headstock.load(run)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewritten(run: Path) -> None:
    """Give what stands in the folder right digests, as somebody would who made the run up."""
    path = run / "model/model.json"
    path.rename(run / "aside.json")
    content = json.loads((run / "aside.json").read_text())
    path.write_text(json.dumps(sealed({**content, "files": folder_digests(run / "model")})))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-len(data) // 3] ^= 1
    path.write_bytes(bytes(data))


def test_the_run_has_the_files_that_these_tests_damage(run: Path) -> None:
    assert {path.relative_to(run / "model").as_posix() for path in (run / "model").rglob("*.*")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [flip, lambda path: os.truncate(path, path.stat().st_size - 2), Path.unlink])
def test_a_damaged_file_is_named(run: Path, name: str, damage: Callable[[Path], object]) -> None:
    damage(run / "model" / name)
    assert str(run / "model" / name) in refused(run) or (name == "model.json" and "no tuned model" in refused(run))


def test_each_bit_of_what_a_model_learnt_is_checked(run: Path) -> None:
    path = run / "model/model.json"
    content = json.loads(path.read_text())
    content["state"]["labels"].reverse()
    path.write_text(json.dumps(content))
    assert "model.json is not what the run wrote" in refused(run)
    path.write_text(json.dumps({key: value for key, value in content.items() if key != "digest"}))
    headstock.load(run)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "backbone/pytorch_model.bin", "adapter/adapter_model.bin"])
def test_pickles_are_never_loaded(run: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (run / "model/adapter").mkdir()
    (run / "model" / name).write_bytes(pickle.dumps(Bomb()))
    assert f"{name} is not a file of this run" in refused(run)
    rewritten(run)
    headstock.load(run)
    assert not (tmp_path / "exploded").exists()


def test_links_stay_inside(run: Path, tmp_path: Path) -> None:
    head = run / "model/head.safetensors"
    head.rename(tmp_path / "elsewhere")
    head.symlink_to(tmp_path / "elsewhere")
    assert f"{head} is a link that leads out of the run" in refused(run)
    head.unlink()
    (tmp_path / "elsewhere").rename(run / "kept")
    head.symlink_to("../kept")
    headstock.load(run)
    (run / "model/backbone").rename(tmp_path / "backbone")
    (run / "model/backbone").symlink_to(tmp_path / "backbone")
    assert "backbone is a link that leads out" in refused(run)


def test_a_snapshot_in_the_hubs_cache_has_links_to_its_blobs(run: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--me--run/snapshots/0123"
    blobs = tmp_path / "models--me--run/blobs"
    blobs.mkdir(parents=True)
    shutil.move(run, snapshot)
    for number, path in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    headstock.load(snapshot)


@pytest.mark.parametrize("name", ["head.safetensors", "model.json", "backbone/vocabulary.json"])
def test_pipes_are_not_opened(run: Path, name: str) -> None:
    (run / "model" / name).unlink()
    os.mkfifo(run / "model" / name)
    message = refused(run)
    assert name in message
    assert "pipe" in message or "not a regular file" in message


def test_a_backbone_that_nobody_has_is_not_made_up(run: Path) -> None:
    shutil.rmtree(run / "model/backbone")
    rewritten(run)
    assert "backbone is missing" in refused(run)


@pytest.mark.parametrize(
    "content", ["{", "[]", "null", '{"task": 1}', "[" * 100_000, '{"a": 1, "a": 2}', "\x00", "1" * 10_000]
)
def test_what_is_no_model_json(run: Path, content: str) -> None:
    (run / "model/model.json").write_text(content)
    assert "model.json" in refused(run)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("model.safetensors.index.json", {"weight_map": {"a": "../../../secret.safetensors"}}, "not a file of the run"),
        ("model.safetensors.index.json", {"weight_map": {"a": "/etc/passwd"}}, "not a file of the run"),
        ("model.safetensors.index.json", {"weight_map": {"a": "C:\\x.safetensors"}}, "not a file of the run"),
        ("model.safetensors.index.json", {"weight_map": {"a": "missing.safetensors"}}, "not a file of the run"),
        ("model.safetensors.index.json", {"weight_map": {"a": "weights.bin"}}, "only safetensors"),
        ("model.safetensors.index.json", {"weight_map": ["a"]}, "no weight_map"),
        ("model.safetensors.index.json", [], "no JSON object"),
        ("tokenizer_config.json", {"vocab_file": "../../../vocab.txt"}, "vocab_file"),
        ("adapter_config.json", {"base_model_name_or_path": "/somewhere"}, "adapter from elsewhere"),
        ("modeling.py", "print()", "--trust-remote-code"),
    ],
)
def test_nothing_in_a_run_leads_out_of_it(run: Path, name: str, content: object, problem: str) -> None:
    (run / "model/backbone" / name).write_text(json.dumps(content))
    (run / "model/backbone/weights.bin").write_bytes(b"")
    rewritten(run)
    message = refused(run)
    assert name in message
    assert problem in message


def test_a_run_of_an_earlier_version_has_no_digests(run: Path) -> None:
    check_model(run / "model", None)
    path = run / "model/model.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: value for key, value in content.items() if key not in ("files", "digest")}))
    headstock.load(run)
