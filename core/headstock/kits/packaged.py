"""Files that installed Python packages carry, such as pretrained weights; the packages' code is never imported."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from headstock.error_text import reason
from headstock_registry import HeadstockError

__all__ = ["PackagedFile"]


class PackagedFile(NamedTuple):
    """A file of one version of a Python package.

    Attributes:
        distribution: The package's name, as pip knows it.
        version: The only version that is read.
        path: Where the file lies in the installation, with ``/``.
        digest: SHA-256 of its content, hexadecimal.
    """

    distribution: str
    version: str
    path: str
    digest: str

    @property
    def requirement(self) -> str:
        """What pip installs: ``NAME==VERSION``."""
        return f"{self.distribution}=={self.version}"

    def missing(self) -> str | None:
        """Return in one line that the package is not installed, or in another version; else ``None``.

        The file itself is not looked at.
        """
        remedy = f"pip install {self.requirement}"
        try:
            found = metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return f"the package {self.distribution} is not installed: {remedy}"
        return None if found == self.version else f"{self.distribution} {found} is installed, wanted is this: {remedy}"

    def find(self) -> Path:
        """Return where the file is, after a look at its content.

        Raises:
            HeadstockError: the package is not installed or in another version, or the file is missing or changed.
        """
        missing = self.missing()
        if missing is not None:
            raise HeadstockError(missing)
        remedy = f"pip install {self.requirement} --force-reinstall"
        place = Path(str(metadata.distribution(self.distribution).locate_file(self.path)))
        try:
            with place.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise HeadstockError(f"cannot read {place}: {reason(error)}; {remedy}") from error
        if found != self.digest:
            raise HeadstockError(
                f"{place} is not what {self.requirement} has (SHA-256 {found[:12]}…, not {self.digest[:12]}…): {remedy}"
            )
        return place
