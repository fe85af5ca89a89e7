"""What ``--push-to-hub`` uploads: nothing of this machine's folders, and a model that others can load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from huggingface_hub.utils import filter_repo_objects

import headstock
from headstock.cli.main import cli as command
from headstock.engine.models.model_files import sealed

TEXTS = ["good and nice", "bad"]


@pytest.fixture
def uploaded(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a Hub that is made up keeps what is uploaded."""
    place = tmp_path_factory.mktemp("hub") / "files"

    class Api:
        def create_repo(self, repository: str, **options: Any) -> None:
            pass

        def upload_folder(self, folder_path: Path, ignore_patterns: list[str], **options: Any) -> str:
            files = [path.relative_to(folder_path).as_posix() for path in folder_path.rglob("*") if path.is_file()]
            for name in filter_repo_objects(files, ignore_patterns=ignore_patterns):
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder_path / name, place / name)
            return "https://hub/commit"

    monkeypatch.setattr("headstock.report.hub.HfApi", Api)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return place


@pytest.fixture
def words(tiny_encoder: Callable[[str], str], tmp_path: Path) -> list[str]:
    """Return the command's words for a run in folders of this machine, with a bad row."""
    shutil.copytree(tiny_encoder("bert"), tmp_path / "base" / "my-bert")
    rows = "".join(f"good text {n},yes\nbad text {n},no\n" for n in range(20))
    (tmp_path / "reviews.csv").write_text(f"text,label\n{rows},yes\n")
    return [
        *("run", "text-classification", "backbone=transformers", f"model={tmp_path}/base/my-bert"),
        *(f"path={tmp_path}/reviews.csv", "on_bad_example=skip", "trainer.max_steps=1", "trainer.device=cpu"),
        *("--out", str(tmp_path / "run"), "--quiet", "--push-to-hub", "me/model"),
    ]


@pytest.mark.parametrize("adapter", ["lora", "linear-probe", "full"])
def test_an_upload_names_no_folder_of_this_machine_and_can_be_loaded(
    adapter: str, words: list[str], uploaded: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(command, [*words, f"adapter={adapter}"])
    assert done.exit_code == 0, done.output
    expected = headstock.load(tmp_path / "run", device="cpu").predict(TEXTS)
    texts = {path: path.read_bytes() for path in uploaded.rglob("*") if path.is_file() and path.suffix != ".png"}
    assert {"README.md", "recipe.yaml", "results.json", "environment.json"} <= {path.name for path in texts}
    assert not [path for path, text in texts.items() if str(tmp_path).encode() in text]
    assert not [path for path, text in texts.items() if str(Path.home()).encode() + b"/" in text]
    results = json.loads((uploaded / "results.json").read_text())
    (skipped,) = [line for lines in results["skipped"].values() for line in lines]
    assert skipped.startswith("reviews.csv row 41")
    if adapter == "lora":
        assert (
            json.loads((uploaded / "model/adapter/adapter_config.json").read_text())["base_model_name_or_path"] is None
        )
        assert 'from_pretrained("model/backbone")' in (uploaded / "README.md").read_text()

    shutil.rmtree(tmp_path / "base")
    assert headstock.load(uploaded, device="cpu").predict(TEXTS) == expected
    (uploaded / "model/backbone/config.json").write_text("{}")
    with pytest.raises(headstock.HeadstockError, match=r"config\.json is not what was written"):
        headstock.load(uploaded)


def test_a_base_that_cannot_go_along_is_the_reason_for_no_upload(
    words: list[str], uploaded: Path, tmp_path: Path
) -> None:
    run = [word for word in words if word not in ("--push-to-hub", "me/model")]
    assert CliRunner().invoke(command, [*run, "adapter=lora"]).exit_code == 0
    again = ["run", str(tmp_path / "run"), "--resume", "--push-to-hub", "me/model"]
    shutil.copytree(tmp_path / "base", tmp_path / "other")
    path = tmp_path / "run/model/model.json"
    written = path.read_text()
    path.write_text(json.dumps(sealed(json.loads(written.replace("/base/my-bert", "/other/my-bert", 1)))))
    with pytest.raises(
        headstock.HeadstockError, match=r"builds on .*base/my-bert, but with its options .*/other/my-bert"
    ):
        headstock.load(tmp_path / "run")
    path.write_text(written)
    (tmp_path / "base/my-bert/config.json").write_text("{}")
    changed = CliRunner().invoke(command, again)
    assert "cannot be uploaded: it builds on" in changed.output
    shutil.rmtree(tmp_path / "base")
    gone = CliRunner().invoke(command, again)
    assert "which is not there any more" in gone.output
    assert not uploaded.exists()
