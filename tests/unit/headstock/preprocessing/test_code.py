"""The key of a cache follows all code that a component runs."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from headstock import HeadstockError
from headstock.preprocessing import code
from headstock.preprocessing.code import code_digest


class Packages:
    """Packages on the path, and digests as a new process would compute them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def get(self, module: str, name: str) -> Any:
        return getattr(import_module(module), name)

    def digest(self, component: object) -> str:
        code._package.cache_clear()
        code._library_versions.cache_clear()
        return code_digest(component)

    def follows(self, component: object, name: str) -> bool:
        """Say whether the digest changes with a file, and comes back with it."""
        path = self.folder / name
        before, text = self.digest(component), path.read_text()
        path.write_text(text + "\nchanged = True\n")
        changed = self.digest(component)
        path.write_text(text)
        assert self.digest(component) == before
        return changed != before


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    monkeypatch.syspath_prepend(tmp_path)
    made = Packages(tmp_path)
    made.write("outer_of_test/__init__.py", "")
    made.write("outer_of_test/helper.py", "x = 1\n")
    made.write("outer_of_test/component.py", "class Component: ...\n")
    made.write("inner_of_test/__init__.py", "")
    made.write("inner_of_test/part.py", "class Part:\n    def method(self): ...\ndef function(): ...\n")
    before = set(sys.modules)
    yield made
    for name in set(sys.modules) - before:
        if name.partition(".")[0].endswith("_of_test"):
            del sys.modules[name]
    code._package.cache_clear()
    code._library_versions.cache_clear()


def test_helper_modules_of_its_package_count(packages: Packages) -> None:
    component = packages.get("outer_of_test.component", "Component")
    assert packages.follows(component, "outer_of_test/helper.py")
    assert not packages.follows(component, "inner_of_test/part.py")


@pytest.mark.parametrize(
    "statement",
    [
        "from inner_of_test.part import Part",
        "import os, inner_of_test.part as part",
        "from inner_of_test import (\n    part,\n)",
        "def late():\n    import inner_of_test.part",
        "if True: from inner_of_test import part",
        "import between_of_test",
    ],
)
def test_what_any_module_of_its_package_imports_counts(packages: Packages, statement: str) -> None:
    packages.write("between_of_test.py", "from inner_of_test import part\n")
    packages.write("outer_of_test/helper.py", statement)
    assert packages.follows(packages.get("outer_of_test.component", "Component"), "inner_of_test/part.py")


def test_a_base_of_another_package_counts_with_what_it_imports(packages: Packages) -> None:
    packages.write("outer_of_test/component.py", "from mixin_of_test import Mixin\nclass Component(Mixin): ...\n")
    packages.write("mixin_of_test.py", "import inner_of_test.part\nclass Mixin: ...\n")
    component = packages.get("outer_of_test.component", "Component")
    assert packages.follows(component, "mixin_of_test.py")
    assert packages.follows(component, "inner_of_test/part.py")


@pytest.mark.parametrize(
    "how", ["itself", "in a list", "in a module", "its class", "a function", "a method", "partial"]
)
def test_what_it_holds_counts_though_nothing_imports_it(packages: Packages, how: str) -> None:
    part, function = (packages.get("inner_of_test.part", name) for name in ("Part", "function"))
    module = nn.Sequential(nn.Linear(1, 1))
    module[0].tool = part()
    component = packages.get("outer_of_test.component", "Component")()
    component.inner = {
        "itself": part(),
        "in a list": {"parts": [1, (part(),)]},
        "in a module": module,
        "its class": part,
        "a function": function,
        "a method": part().method,
        "partial": functools.partial(function, 1),
    }[how]
    assert packages.follows(component, "inner_of_test/part.py")


def test_a_library_that_is_installed_counts_by_what_was_installed(packages: Packages) -> None:
    packages.write("outer_of_test/helper.py", "import inner_of_test\n")
    packages.write("inner_of_test-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: inner-of-test\nVersion: 1.0\n")
    record = packages.write("inner_of_test-1.0.dist-info/RECORD", "inner_of_test/part.py,sha256=1,1\n")
    component = packages.get("outer_of_test.component", "Component")
    before = packages.digest(component)
    record.write_text("inner_of_test/part.py,sha256=2,1\n")
    assert packages.digest(component) != before
    assert not packages.follows(component, "inner_of_test/part.py")
    packages.write("inner_of_test-1.0.dist-info/entry_points.txt", "[headstock]\nx = inner_of_test\n")
    assert packages.follows(component, "inner_of_test/part.py")


def test_versions_of_the_libraries_count(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    component = packages.get("outer_of_test.component", "Component")
    before = packages.digest(component)
    original = metadata.PathDistribution.read_text

    def read_text(self: metadata.PathDistribution, name: str) -> str | None:
        text = original(self, name)
        return text and text.replace("\nName: transformers\nVersion: ", "\nName: transformers\nVersion: 99.")

    monkeypatch.setattr(metadata.PathDistribution, "read_text", read_text)
    assert packages.digest(component) != before


def test_required_libraries_are_known_by_their_versions(packages: Packages) -> None:
    for name in ("torch", "numpy", "PIL", "sklearn", "yaml", "huggingface_hub", "soundfile", "tokenizers", "json"):
        assert not code._counts(name), name
    assert code._counts("headstock_text")


def test_a_class_without_a_file_is_refused() -> None:
    with pytest.raises(HeadstockError, match="cannot find the source of module 'nowhere_of_test'"):
        code_digest(type("Component", (), {"__module__": "nowhere_of_test"}))
