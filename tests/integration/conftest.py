"""Virtual environments in which third parties' distributions are tried beside Headstock's wheel."""

from __future__ import annotations

import os
import shlex
import site
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from importlib import metadata, util
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What pip needs is in the environment that runs the tests. (pip turns isolation off with the value 0.)"""


class Environment:
    """A virtual environment that sees the packages of the one that runs the tests, below its own."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.bin = folder / "bin"
        self.env = {
            **env,
            **OFFLINE,
            "PATH": f"{self.bin}:{env.get('PATH', '')}",
            "VIRTUAL_ENV": str(folder),
            "MYPY_CACHE_DIR": str(folder / "mypy"),  # what libraries declare is read once
        }

    def run(self, command: str, folder: Path, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run a command line as a user would type it, programs of Python packages from this environment."""
        program, *arguments = shlex.split(command)
        if program == "pip":
            words = [str(self.bin / "python"), "-m", "pip", *arguments]
        elif program in ("python", "headstock"):
            words = [str(self.bin / program), *arguments]
        else:  # a tool of the environment that runs the tests, run with this one's packages
            words = [str(self.bin / "python"), "-m", program, *arguments]
        return subprocess.run(
            words, cwd=folder, env=self.env, capture_output=True, encoding="utf-8", timeout=timeout, check=False
        )

    def must(self, command: str, folder: Path) -> str:
        """Run a command that must go well, and return what it printed."""
        done = self.run(command, folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="session")
def our_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Headstock as a wheel, built from this checkout."""
    if util.find_spec("hatchling") is None:
        pytest.skip("building wheels needs hatchling, which is in the extra 'dev'")
    folder = tmp_path_factory.mktemp("our-wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(REPOSITORY)]
    done = subprocess.run(build, env={**os.environ, **OFFLINE}, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def new_environment(
    our_wheel: Path, tmp_path_factory: pytest.TempPathFactory, command_env: Callable[..., dict[str, str]]
) -> Callable[[], Environment]:
    """Make an environment that has Headstock's wheel and nothing else of its own."""
    try:
        metadata.distribution("headstock")
    except metadata.PackageNotFoundError:
        pytest.skip("Headstock is importable but not installed, so its own entry points are not there")

    def make() -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        # pip is that of the environment below; one of its own takes longer to install than all the rest
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        environment = Environment(folder, command_env())
        where = environment.must("python -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))'", folder).strip()
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
        # unlike a bare path, addsitedir reads the .pth files there
        lines = [f"import site; site.addsitedir({path!r})\n" for path in sorted(paths)]
        (Path(where) / "headstock_environment.pth").write_text("".join(lines))
        environment.must(f"pip install --no-deps --force-reinstall {our_wheel}", folder)
        return environment

    return make


@pytest.fixture(scope="session")
def environment(new_environment: Callable[[], Environment]) -> Environment:
    """Return one such environment for all tests that install distributions of different names."""
    return new_environment()
