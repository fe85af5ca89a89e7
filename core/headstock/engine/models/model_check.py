"""Whether the model of a run is what the run wrote, and can be loaded without reading or running anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from headstock.digests import damage
from headstock.files import read_json
from headstock.interfaces.remote_code import ADVICE, trusts_remote_code
from headstock_registry import HeadstockError

OUTSIDE = "special_tokens_map_file"
"""A key of old tokenizers whose value is a path on the machine that made them; nothing reads it."""


def check_model(folder: Path, digests: Mapping[str, str] | None) -> None:
    """Look at the files of a run's ``model/`` before any of them is loaded.

    Args:
        folder: The folder.
        digests: Digest of each file but ``model.json``, as ``model.json`` has them; ``None`` for a run of an earlier
            version, which has none.

    Raises:
        HeadstockError: a file is missing, damaged, not from the run, or leads out of it, or it is code and the caller
            has not let code run; one line that names the file.
    """
    files = dict(_files(folder))
    if digests is not None:
        problem = damage(folder, digests)
        if problem is not None:
            raise HeadstockError(f"{folder}/{problem}; the model cannot be used: copy the run again, or tune again")
        for name in files:
            if name != "model.json" and name not in digests:
                raise HeadstockError(f"{folder}/{name} is not a file of this run; take it away to use the model")
    for name, path in files.items():
        if name.endswith(".py") and not trusts_remote_code():
            raise HeadstockError(f"{path} is Python code that would run with the model; {ADVICE}")
        if name.endswith("adapter_config.json") and name != "adapter/adapter_config.json":
            raise HeadstockError(f"{path} would have the backbone loaded with an adapter from elsewhere; take it away")
        if name.endswith(".index.json"):
            _check_index(path)
        elif name.endswith("config.json"):
            _check_config(path)


def check_link(path: Path, run: Path | None = None) -> None:
    """Raise for a link that leads out of the run.

    Args:
        path: Any path in the run.
        run: The run directory, by default the folder that ``path`` is in.

    Raises:
        HeadstockError: it is such a link.
    """
    if not path.is_symlink():
        return
    root, target = (run or path.parent).resolve(), path.resolve()
    # The Hub's cache has links in snapshots/COMMIT to the files in blobs.
    roots = [root, root.parent.parent / "blobs"] if root.parent.name == "snapshots" else [root]
    if not any(target.is_relative_to(place) for place in roots):
        raise HeadstockError(f"{path} is a link that leads out of the run; it is not followed")


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the path within the folder, and the path, of each file whose name does not begin with a dot.

    Raises:
        HeadstockError: a link leads out of the run, or a file is a pipe, a device or the like.
    """
    check_link(folder)
    for path in sorted(folder.rglob("*")):
        check_link(path, folder.parent)
        if path.is_dir() or path.name.startswith("."):
            continue
        if not path.is_file():
            raise HeadstockError(f"{path} is not a regular file")
        yield path.relative_to(folder).as_posix(), path


def _check_index(path: Path) -> None:
    """Raise unless an index of weights in several files names files beside it."""
    weights = _read(path).get("weight_map")
    if not isinstance(weights, dict):
        raise HeadstockError(f"{path} is no index of weights: it has no weight_map")
    for name in set(map(str, weights.values())):
        if _leads_out(name) or not (path.parent / name).is_file():
            raise HeadstockError(f"{path} names {name!r}, which is not a file of the run")
        if not name.endswith(".safetensors"):
            raise HeadstockError(f"{path} names {name!r}; only safetensors files are read")


def _check_config(path: Path) -> None:
    """Raise where a configuration names a file outside of the run."""
    for key, value in _read(path).items():
        if key.endswith("_file") and key != OUTSIDE and isinstance(value, str) and _leads_out(value):
            raise HeadstockError(f"{path}: {key} is {value!r}, which is not a file of the run")


def _read(path: Path) -> dict[str, Any]:
    content = read_json(path, finite=False)  # transformers writes Infinity
    if not isinstance(content, dict):
        raise HeadstockError(f"cannot read {path}: no JSON object")
    return content


def _leads_out(name: str) -> bool:
    """Tell whether a path is absolute or climbs, on this system or another."""
    return any(path.anchor != "" or ".." in path.parts for path in (PurePosixPath(name), PureWindowsPath(name)))
