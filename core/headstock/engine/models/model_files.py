"""A tuned model on disk: what it is made of, how it is written, how it comes back.

``model/`` of a run holds ``model.json`` (names, options and learnt state), ``head.safetensors``, ``backbone/`` as the
backbone saves itself (as ``save_pretrained`` does, where it came from transformers) and ``adapter/`` as the adapter
saves itself. A backbone that the adapter left as it was and that came from somewhere is named, not copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from headstock.atomic import explain_write_errors, new_directory, write_json
from headstock.digests import bytes_digest, file_digest, folder_digests, json_digest
from headstock.engine.models.model_check import check_link, check_model
from headstock.engine.models.module import TuningModule
from headstock.error_text import reason
from headstock.files import MissingFileError, read_json, user_path
from headstock.interfaces import Backbone, Column, Task
from headstock.interfaces.remote_code import without_consent
from headstock.recipe.components import component_class
from headstock.recipe.errors import describe, validated
from headstock.recipe.resolve import ResolvedRecipe
from headstock_registry import Catalogue, Entry, HeadstockError

DIGESTED = (".json", ".model", ".py", ".safetensors", "merges.txt", "vocab.txt")
"""Endings of the files in a pretrained model's folder that make it what it is: weights, configuration, tokenizer."""


class SavedPart(BaseModel):
    """One component of a tuned model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    distribution: str
    version: str
    options: dict[str, Any]


class SavedModel(BaseModel):
    """What ``model.json`` holds.

    Attributes:
        state: What the task learnt from training data.
        columns: The columns that training data settled; ``None``: those that the task declares.
        source: Where the backbone's own weights are to be had, if they are not in ``backbone/``.
        source_digest: Digest of ``source``, if that is a file or folder.
        source_commit: Commit of ``source`` on the Hub, if it is there and the commit is known.
        files: Digest of each other file in ``model/``; ``None`` in runs of earlier versions.
        digest: Digest of all the rest of ``model.json``; without it, what the file says is not checked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: SavedPart
    backbone: SavedPart
    adapter: SavedPart
    state: dict[str, Any]
    columns: tuple[Column, ...] | None = None
    source: str | None
    source_digest: str | None = None
    source_commit: str | None = None
    files: dict[str, str] | None = None
    digest: str | None = None


def save_base(backbone: Backbone, folder: Path) -> None:
    """Keep a backbone as it is before an adapter is attached that would only wrap it."""
    with new_directory(folder) as beside, explain_write_errors(folder):
        backbone.save(beside)


def save_model(resolved: ResolvedRecipe, module: TuningModule, folder: Path, base: Path | None) -> None:
    """Write a tuned model to ``folder``, replacing one that is there.

    Args:
        resolved: The recipe that made it.
        module: The model.
        folder: ``model/`` of the run.
        base: Where :func:`save_base` put the backbone, if it did.
    """
    adapter, backbone = module.adapter, module.backbone
    source = _absolute(backbone.source) if adapter.keeps_base else None
    with new_directory(folder) as beside, explain_write_errors(folder):
        if base is not None:
            base.rename(beside / "backbone")
        elif source is None:
            (beside / "backbone").mkdir()
            backbone.save(beside / "backbone")
        (beside / "adapter").mkdir()
        adapter.save(backbone, beside / "adapter")
        if not any((beside / "adapter").iterdir()):
            (beside / "adapter").rmdir()
        head = {name: tensor.detach().contiguous().cpu() for name, tensor in module.head.state_dict().items()}
        save_file(head, beside / "head.safetensors")
        saved = SavedModel(
            task=_saved_part(resolved.task.entry, resolved.task.config),
            backbone=_saved_part(resolved.backbone.entry, resolved.backbone.config, backbone.source),
            adapter=_saved_part(resolved.adapter.entry, resolved.adapter.config),
            state=module.task.state(),
            columns=None if type(module.task).columns_for is Task.columns_for else module.task.data_columns,
            source=source,
            source_digest=None if source is None else _digest(Path(source)),
            source_commit=None if source is None else _commit(backbone, source),
            files=folder_digests(beside),
        )
        write_json(beside / "model.json", sealed(saved.model_dump(mode="json")))


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a ``model.json`` with the digest of itself."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    return {**rest, "digest": json_digest(rest)}


def load_model(catalogue: Catalogue, folder: Path) -> tuple[SavedModel, TuningModule]:
    """Bring a tuned model back, in evaluation mode on the CPU.

    Raises:
        HeadstockError: the folder holds no tuned model or a damaged one, a component is not installed or its version
            does not fit, or the pretrained weights that the model builds on have changed.
    """
    content, saved = read_saved(folder / "model.json")
    task = _restore_task(catalogue, saved, folder)
    for kind, part in (("backbone", saved.backbone), ("adapter", saved.adapter)):
        _resolve(catalogue, kind, part)
    if saved.digest is not None and sealed(content) != content:
        raise HeadstockError(
            f"{folder / 'model.json'} is not what the run wrote; copy the run again, or, if it was changed on purpose, "
            "take the key 'digest' out of it"
        )
    check_model(folder, saved.files)
    backbone = load_base(catalogue, saved, folder)
    task.bind(backbone)
    adapter = _make(catalogue, "adapter", saved.adapter)
    adapter.load(backbone, folder / "adapter")
    head = task.build_head(backbone)
    weights = folder / "head.safetensors"
    try:
        head.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise HeadstockError(f"cannot read the head's weights in {weights}: {reason(error)}") from error
    module = TuningModule(backbone, adapter, task, head)
    module.requires_grad_(False)
    module.eval()
    return saved, module


def read_saved(path: Path) -> tuple[dict[str, Any], SavedModel]:
    """Return what a ``model.json`` holds, as plain values and typed."""
    check_link(path, path.parent.parent)
    try:
        content = read_json(path)
        return content, SavedModel.model_validate(content)
    except MissingFileError as error:
        raise HeadstockError(f"{path.parent} holds no tuned model; give the folder of a finished run") from error
    except ValidationError as error:
        raise HeadstockError(f"cannot read {path}: {describe(error, SavedModel)}") from error


def _saved_part(entry: Entry, config: BaseModel, path: str | None = None) -> SavedPart:
    """Describe a component; the option that names ``path`` becomes absolute, so that the run works from anywhere."""
    source = entry.source
    if source is None:
        raise ValueError(f"{entry} was not stamped with its source")
    options = {
        key: _absolute(path) if path is not None and value == path else value
        for key, value in config.model_dump(mode="json").items()
    }
    return SavedPart(name=entry.name, distribution=source.distribution, version=source.version, options=options)


def _restore_task(catalogue: Catalogue, saved: SavedModel, folder: Path) -> Task:
    task: Task = _make(catalogue, "task", saved.task)
    try:
        if saved.columns is not None:
            task.settle(saved.columns)
        task.restore(saved.state)
    except (KeyError, TypeError, ValueError) as error:
        raise HeadstockError(
            f"{folder / 'model.json'}: the state does not fit task '{saved.task.name}': {type(error).__name__} {error}"
        ) from error
    return task


def load_base(catalogue: Catalogue, saved: SavedModel, folder: Path) -> Backbone:
    """Return the backbone that a tuned model builds on: what lies in its folder, or the pretrained one that it names.

    Raises:
        HeadstockError: it cannot be had, or has changed.
    """
    if (folder / "backbone").is_dir():
        cls, config = _resolve(catalogue, "backbone", saved.backbone)
        stored: Backbone = cls.load(config, folder / "backbone")
        return stored
    part = saved.backbone
    if saved.source is None:
        raise HeadstockError(f"{folder / 'backbone'} is missing, and model.json names no other place of the backbone")
    if saved.source_digest is not None:
        found = _digest(Path(saved.source))
        if found not in (None, saved.source_digest):
            raise HeadstockError(
                f"{saved.source} has changed since the model in {folder} was tuned on it; put the pretrained model as "
                "it was back there, or tune again"
            )
    if saved.source_commit is not None and "revision" in part.options:
        part = part.model_copy(update={"options": {**part.options, "revision": saved.source_commit}})
    cls, config = _resolve(catalogue, "backbone", part)
    named: Backbone = cls.create(config, ())
    if _absolute(named.source) != saved.source:
        raise HeadstockError(
            f"the model in {folder} builds on {saved.source}, but with its options backbone '{part.name}' takes "
            f"{named.source}"
        )
    return named


def _make(catalogue: Catalogue, kind: str, part: SavedPart) -> Any:
    cls, config = _resolve(catalogue, kind, part)
    return cls(config)


def _resolve(catalogue: Catalogue, kind: str, part: SavedPart) -> tuple[Any, Any]:
    """Return a component's class and its options."""
    try:
        entry = catalogue.get(kind, f"{part.distribution}:{part.name}")
        cls = component_class(catalogue, entry)
    except HeadstockError as error:
        raise HeadstockError(f"the run needs {part.distribution} {part.version}: {error}") from error
    options = without_consent(part.options, kind)
    try:
        return cls, validated(cls.Config, options, kind)
    except HeadstockError as error:
        installed = "another version" if entry.source is None else f"{entry.source.distribution} {entry.source.version}"
        raise HeadstockError(
            f"the run was made with {part.distribution} {part.version}, whose options of {kind} '{part.name}' do not "
            f"fit the installed {installed}: {error}"
        ) from error


def _absolute(source: str | None) -> str | None:
    if source is None:
        return None
    path = user_path(source)
    return str(path.resolve()) if path.exists() else source


def _digest(source: Path) -> str | None:
    """Return a digest of a model's file, or of the files in a model's folder; ``None`` if there is neither."""
    if source.is_file():
        return file_digest(source)
    if not source.is_dir():
        return None
    files = sorted(path for path in source.iterdir() if path.is_file() and path.name.endswith(DIGESTED))
    content = "".join(f"{path.name} {file_digest(path)}\n" for path in files)
    return bytes_digest(content.encode())


def _commit(backbone: Backbone, source: str) -> str | None:
    """Return the commit of a model from the Hub: the one it says itself, or the one that lies in the Hub's cache.

    transformers told the commit in ``config._commit_hash`` until it resolved revisions through the Hub's cache.
    """
    if Path(source).exists():
        return None
    unwrap: Any = getattr(backbone.body, "get_base_model", None)
    body: Any = backbone.body if unwrap is None else unwrap()
    told = getattr(getattr(body, "config", None), "_commit_hash", None)
    if isinstance(told, str):
        return told
    revision = getattr(backbone.config, "revision", None)
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(source, "config.json", revision=revision)
    except HFValidationError:
        return None
    return Path(cached).parent.name if isinstance(cached, str) else None
