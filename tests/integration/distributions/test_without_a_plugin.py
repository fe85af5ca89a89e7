"""Any one first-party plugin can be taken away, and everything else keeps working."""

from __future__ import annotations

import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

PLUGINS = {
    "text": "headstock_text",
    "vision": "headstock_vision",
    "speech": "headstock_speech",
    "adapters": "headstock_adapters",
    "methods": "headstock_methods",
    "scaffold": "headstock_scaffold",
    "bench": "headstock_bench",
}
QUICK = {"text": ("text-classification", "backbone=textcnn"), "vision": ("image-classification", "backbone=smallcnn")}


def without(wheel: Path, plugin: str, target: Path) -> Path:
    """Unpack a wheel but for one plugin's package and entry point."""
    package = PLUGINS[plugin]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target, [name for name in archive.namelist() if not name.startswith(f"{package}/")])
    (entry_points,) = target.glob("*.dist-info/entry_points.txt")
    lines = entry_points.read_text().splitlines()
    entry_points.write_text("\n".join(line for line in lines if not line.startswith(f"{plugin} = ")) + "\n")
    return target


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_rest_works(plugin: str, our_wheel: Path, cli: Any, forked: Any, tmp_path: Path) -> None:
    place = without(our_wheel, plugin, tmp_path / "installed")
    # a module that is missing is one that cannot be imported, wherever else on the path it may lie
    (place / "sitecustomize.py").write_text(f"import sys\nsys.modules[{PLUGINS[plugin]!r}] = None\n")

    def run(*arguments: str, needs_torch: bool = False) -> str:
        start = partial(forked, tmp_path) if needs_torch else cli
        done = start(*arguments, pythonpath=[place])
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert "`headstock plugins` says why" not in done.stderr
        return str(done.stdout)

    listed = {record["plugin"] for record in json.loads(run("plugins", "--json"))}
    assert listed == set(PLUGINS) - {plugin}
    for command in ("tasks", "backbones", "adapters", "methods", "--help"):
        assert run(command)
    assert run("schema", needs_torch=True)
    recipe = next(recipe for home, recipe in QUICK.items() if home != plugin)
    assert recipe[0] in run("show", recipe[0], needs_torch=True)
    if plugin == "adapters":
        done = forked(tmp_path, "run", *recipe, "limit=20", "epochs=1", "--out", "run", pythonpath=[place])
        assert done.returncode == 2
        assert "no adapter named 'full' is installed" in done.stderr
        return
    assert "accuracy" in run("run", *recipe, "limit=20", "epochs=1", "--out", "run", needs_torch=True)
