"""Sharded tensors on disk: each rank writes its shards, and any number of ranks reads them.

``torch.distributed.checkpoint`` lays them out, in safetensors: its own files hold pickled descriptions of the tensors.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from headstock.distributed import ONE_DISK
from headstock_registry import HeadstockError


def write_shards(tensors: Mapping[str, Tensor], folder: Path, rank: int) -> list[Path]:
    """Write this rank's shards; what is not sharded is written by one of the ranks. All take part.

    Args:
        tensors: By the same names on all ranks.
        folder: Where they go; the same folder for all ranks, and not there yet or empty.
        rank: Index of this rank.

    Returns:
        The files that this rank wrote.

    Raises:
        OSError: a rank could not write; raised on all of them.
    """
    writer = HuggingFaceStorageWriter(str(folder), save_distributed=True)
    writer.per_thread_copy_ahead = 0  # else a run on the CPU would make use of a GPU that is there
    dense = {name: value if isinstance(value, DTensor) else value.contiguous() for name, value in tensors.items()}
    try:
        save(dense, storage_writer=writer)
    except CheckpointException as error:
        raise _first_cause(error) from error
    return sorted(folder.glob(f"shard-{rank + 1:05d}-*"))


def read_shards(
    files: Sequence[Path], parameters_of: Callable[[Iterable[str]], Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Return this rank's shards of what :func:`write_shards` wrote, on however many ranks that was.

    Args:
        files: All that the ranks wrote, in one folder that holds nothing else.
        parameters_of: Returns for names of tensors the parameters that they are for or belong to. What has none, or
            one of another shape or that is not sharded, is read whole.

    Raises:
        HeadstockError: this rank does not see these files, or cannot read them.
    """
    folder = files[0].parent
    # From what it finds there torch infers how large tensors are: what a file more or less holds would go unnoticed.
    if set(folder.glob("*")) != set(files):
        raise HeadstockError(f"{folder} does not hold what the ranks wrote; {ONE_DISK}")
    try:
        reader = HuggingFaceStorageReader(str(folder))
        described = reader.read_metadata().state_dict_metadata
        parameters = parameters_of(described)
        tensors = {
            name: _empty_like(tensor, parameters.get(name))
            for name, tensor in described.items()
            if isinstance(tensor, TensorStorageMetadata)
        }
        with warnings.catch_warnings():
            # Each rank reads for itself, which torch takes for an oversight.
            warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
            load(tensors, storage_reader=reader, no_dist=True)
    except CheckpointException as error:
        cause = _first_cause(error)
        if isinstance(cause, OSError | SafetensorError):
            raise HeadstockError(f"cannot read {folder}: {cause}") from error
        raise cause from error
    except (OSError, SafetensorError) as error:
        raise HeadstockError(f"cannot read {folder}: {error}") from error
    return tensors


def _first_cause(error: CheckpointException) -> BaseException:
    """Return what went wrong, on the first of the ranks where something did.

    torch wraps whatever it was, an interrupt too, into what is not even an ``Exception``.
    """
    failures = error.failures
    return failures[min(failures)][0]


def _empty_like(stored: TensorStorageMetadata, parameter: Tensor | None) -> Tensor:
    """Return an empty tensor for what is to be read, sharded like its parameter."""
    dtype = stored.properties.dtype
    if isinstance(parameter, DTensor) and parameter.shape == stored.size:
        return torch.empty_like(parameter.detach(), dtype=dtype)
    return torch.empty(stored.size, dtype=dtype)
