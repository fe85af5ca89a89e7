"""Where pretrained weights came from."""

from __future__ import annotations

from typing import NamedTuple


class Provenance(NamedTuple):
    """What a model card says of the weights that a backbone starts from.

    Attributes:
        source: Who publishes them and under which name and version, in words.
        license: SPDX identifier of their licence, such as ``Apache-2.0``.
        digest: SHA-256 of the file that holds them, hexadecimal.
    """

    source: str
    license: str
    digest: str
