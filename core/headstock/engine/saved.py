"""A tuned model on disk: what it is made of, how it is written, how it comes back.

``model/`` of a run holds ``model.json`` (names, options and learnt state), ``head.safetensors``, ``backbone/`` as the
backbone saves itself (as ``save_pretrained`` does, where it came from transformers) and ``adapter/`` as the adapter
saves itself. A backbone that the adapter left as it was and that came from somewhere is named, not copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.torch import load_file, save_file

from headstock.atomic import explain_write_errors, new_directory, write_json
from headstock.engine.module import TuningModule
from headstock.interfaces import Backbone
from headstock.recipe.components import component_class
from headstock.recipe.resolve import ResolvedRecipe
from headstock_registry import Catalogue, Entry, HeadstockError


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
        source: Where the backbone's own weights are to be had, if they are not in ``backbone/``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: SavedPart
    backbone: SavedPart
    adapter: SavedPart
    state: dict[str, Any]
    source: str | None


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
            source=source,
        )
        write_json(beside / "model.json", saved.model_dump(mode="json"))


def load_model(catalogue: Catalogue, folder: Path) -> tuple[SavedModel, TuningModule]:
    """Bring a tuned model back, in evaluation mode on the CPU.

    Raises:
        HeadstockError: the folder holds no tuned model, or a component is not installed.
    """
    try:
        saved = SavedModel.model_validate_json((folder / "model.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise HeadstockError(f"{folder} holds no tuned model; give the folder of a finished run") from error
    except (OSError, ValidationError) as error:
        raise HeadstockError(f"cannot read {folder / 'model.json'}: {' '.join(str(error).split())}") from error
    task_class = _resolve(catalogue, "task", saved.task)
    task = task_class(task_class.Config.model_validate(saved.task.options))
    task.restore(saved.state)
    backbone_class = _resolve(catalogue, "backbone", saved.backbone)
    backbone_config = backbone_class.Config.model_validate(saved.backbone.options)
    if (folder / "backbone").is_dir():
        backbone = backbone_class.load(backbone_config, folder / "backbone")
    else:
        backbone = backbone_class.create(backbone_config, ())
    adapter_class = _resolve(catalogue, "adapter", saved.adapter)
    adapter = adapter_class(adapter_class.Config.model_validate(saved.adapter.options))
    adapter.load(backbone, folder / "adapter")
    head = task.build_head(backbone)
    head.load_state_dict(load_file(folder / "head.safetensors"))
    module = TuningModule(backbone, adapter, task, head)
    module.requires_grad_(False)
    module.eval()
    return saved, module


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


def _resolve(catalogue: Catalogue, kind: str, part: SavedPart) -> Any:
    try:
        return component_class(catalogue, catalogue.get(kind, part.name))
    except HeadstockError as error:
        raise HeadstockError(f"the run needs {part.distribution} {part.version}: {error}") from error


def _absolute(source: str | None) -> str | None:
    return str(Path(source).resolve()) if source is not None and Path(source).exists() else source
