from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import headstock

ROOT = Path(__file__).parents[3]
MODULES = (
    "headstock",
    "headstock.testing",
    "headstock.kits",
    "headstock.kits.packaged",
    "headstock.kits.pooling",
    "headstock.kits.pretrained",
    "headstock.kits.weights",
    "headstock_registry",
)


def test_public_is_what_all_lists() -> None:
    frozen = (ROOT / "tests" / "api" / f"v{headstock.API_VERSION}.txt").read_text().splitlines()
    listed = {line.split(".")[1] for line in frozen if re.match(r"headstock\.(?!kits|testing)", line)}
    assert set(headstock.__all__) == {re.split(r"[ (:]", name)[0] for name in listed}
    assert dir(headstock) == headstock.__all__


def test_the_version_is_that_of_the_distribution() -> None:
    assert headstock.__version__ == metadata.version("headstock")


def public() -> list[Any]:
    return [
        pytest.param(getattr(importlib.import_module(module), name), id=f"{module}.{name}")
        for module in MODULES
        for name in importlib.import_module(module).__all__
    ]


@pytest.mark.parametrize("thing", public())
def test_every_public_name_is_there_and_says_what_it_is(thing: Any) -> None:
    assert thing is not None
    if not (inspect.isclass(thing) or inspect.isroutine(thing)) or thing.__module__.split(".")[0] not in MODULES:
        return  # constants and type aliases say it where they are defined
    assert inspect.getdoc(thing)
    if inspect.isclass(thing):
        own = {name: value for name, value in vars(thing).items() if not name.startswith("_")}
        silent = [
            name
            for name, value in own.items()
            if (inspect.isroutine(value) or isinstance(value, property)) and not inspect.getdoc(getattr(thing, name))
        ]
        assert not silent


def test_plugins_may_import_no_other_module_of_core() -> None:
    """The contract names what is closed to plugins; a new module of core belongs on its list, or among the public."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (closed,) = [set(each["forbidden_modules"]) for each in contracts if each["name"].startswith("plugins import")]
    core = Path(str(headstock.__file__)).parent
    modules = {path.stem for path in core.glob("*.py")} | {path.parent.name for path in core.glob("*/__init__.py")}
    open_ones = {"__init__", "__main__", "kits", "testing"}
    assert {f"headstock.{name}" for name in modules - open_ones} == closed


def test_templates_of_new_plugins_import_what_is_public() -> None:
    templates = ROOT / "plugins" / "headstock_scaffold" / "templates"
    imports = [
        line
        for path in templates.rglob("*.jinja")
        for line in path.read_text().splitlines()
        if re.match(r"\s*(from|import) headstock[._ ]", line)
    ]
    assert imports
    assert not [
        line for line in imports if not re.match(r"\s*(from|import) headstock(\.kits(\.\w+)?|\.testing)? ", line)
    ]


def test_what_a_plugin_module_imports_is_light() -> None:
    code = "import sys; from headstock import API_VERSION, Entry, hookimpl; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_torch_torchvision_and_torchaudio_work_together() -> None:
    import torch
    import torchaudio
    import torchvision

    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0]
    assert torchaudio.transforms.MelSpectrogram(16000, n_mels=8)(torch.zeros(400)).shape[0] == 8
