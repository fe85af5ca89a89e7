from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from headstock import HeadstockError
from headstock.kits.packaged import PackagedFile

CONTENT = b"some weights"
FILE = PackagedFile("made-up-weights", "1.2", "made_up/weights.bin", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with the package, whose code must not run."""
    information = tmp_path / "made_up_weights-1.2.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: made-up-weights\nVersion: 1.2\n")
    package = tmp_path / "made_up"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights.bin").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / "weights.bin"


def test_a_file_is_found_without_running_the_package(place: Path) -> None:
    assert FILE.missing() is None
    assert FILE.find() == place


def test_a_package_that_is_not_installed() -> None:
    assert FILE.missing() == "the package made-up-weights is not installed: pip install made-up-weights==1.2"
    with pytest.raises(HeadstockError, match=r"made-up-weights is not installed: pip install made-up-weights==1\.2$"):
        FILE.find()


def test_another_version(place: Path) -> None:
    assert FILE._replace(version="1.3").missing() is not None
    with pytest.raises(HeadstockError, match=r"made-up-weights 1\.2 is installed.*made-up-weights==1\.3$"):
        FILE._replace(version="1.3").find()


def test_another_content(place: Path) -> None:
    place.write_bytes(CONTENT + b"!")
    with pytest.raises(HeadstockError, match=r"weights\.bin is not what made-up-weights==1\.2 has"):
        FILE.find()


def test_a_missing_file(place: Path) -> None:
    place.unlink()
    with pytest.raises(HeadstockError, match=r"cannot read .*weights\.bin.*--force-reinstall$"):
        FILE.find()
