"""A run as others can use it: without paths of this machine, with the pretrained model that only this machine has."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from headstock.atomic import write_json, write_text
from headstock.digests import folder_digests
from headstock.engine.models.model_files import SavedModel, load_base, read_saved, sealed
from headstock.engine.run_directory import RunDirectory
from headstock_registry import Catalogue, HeadstockError

FREE_TEXT = ("skipped", "data_remarks")
"""Keys of ``results.json`` whose lines may name any file of the data."""
NAMES = {"_name_or_path", "base_model_name_or_path", "name_or_path"}
"""Keys by which transformers and peft note where a model came from; a folder's name alone would look like a Hub id."""
_FOLDERS = re.compile(r"(?<![\w.~:/])~?/(?:[^/\s:'\",;]+/)+")


@contextmanager
def shareable_copy(run: Path, catalogue: Catalogue) -> Iterator[Path]:
    """Give a folder with a finished run as it can be uploaded; it is gone after the block.

    Paths of this machine become relative, to names of files and folders. A pretrained model that lies in a folder here
    goes along in ``model/backbone``. Large files are links to those of the run.

    Raises:
        HeadstockError: the run has no model, or the pretrained model that it builds on cannot go along.
    """
    directory = RunDirectory(run)
    content, saved = read_saved(directory.model / "model.json")
    recipe = yaml.safe_load(directory.recipe.read_text("utf-8")) if directory.recipe.is_file() else {}
    hide = _Paths(run, content, recipe)
    with tempfile.TemporaryDirectory(prefix="headstock-upload-") as place:
        copy = RunDirectory(Path(place))
        for path in sorted(run.rglob("*")):
            inside = path.relative_to(run)
            hidden = any(part.startswith(".") or part.endswith(".tmp") for part in inside.parts)
            if path.is_file() and not hidden and inside.parts[0] not in ("checkpoints", "tensorboard"):
                _put(path, copy.path / inside, hide, in_model=inside.parts[0] == "model")
        if recipe:
            write_text(copy.recipe, yaml.safe_dump(hide(recipe), sort_keys=False, allow_unicode=True, width=100))
        if directory.card.is_file():
            write_text(copy.card, _card(directory, copy, saved, hide))
        _put_model(catalogue, directory, copy, content, saved, hide)
        yield copy.path


class _Paths:
    """Turns paths of this machine into what is told of them: the name of a file or folder."""

    def __init__(self, run: Path, content: Mapping[str, Any], recipe: Mapping[str, Any]) -> None:
        parts = [content.get(kind, {}).get("options") for kind in ("task", "backbone", "adapter")]
        named = {text for text in _strings([parts, content.get("source"), recipe]) if text.startswith(("/", "~"))}
        relative = {text for text in _strings([recipe]) if "\n" not in text and text and len(text) < 256}
        for text in relative - named:
            path = Path(text)
            if path.exists():
                named.add(str(path.resolve()))
        named |= {str(Path(text).expanduser()) for text in named if text.startswith("~/")}
        names = {text.rstrip("/"): Path(text).name for text in named}
        folders = {str(folder): "." for folder in (run.absolute(), run.resolve(), Path.cwd(), Path.home())}
        self.local = {text: name for text, name in (folders | names).items() if len(Path(text).parts) > 1}
        longest_first = sorted(self.local, key=len, reverse=True)
        self._pattern = re.compile(rf"(?<![\w/.])({'|'.join(map(re.escape, longest_first))})(?![\w-])")

    def text(self, text: str) -> str:
        """Return a text without the paths."""
        return self._pattern.sub(lambda found: self.local[found.group()], text)

    def __call__(self, value: Any) -> Any:
        """Return a JSON value without the paths."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self(part) for part in value]
        if isinstance(value, dict):
            return {
                key: None if key in NAMES and isinstance(part, str) and self.text(part) != part else self(part)
                for key, part in value.items()
            }
        return value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(part)


def _put(path: Path, target: Path, hide: _Paths, in_model: bool) -> None:
    """Write a file without the paths in it, or link to it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".json" and (not in_model or path.name.endswith("config.json")):
        value = hide(json.loads(path.read_text("utf-8")))
        if path.name == "results.json":
            value |= {key: _without_folders(value[key]) for key in FREE_TEXT if key in value}
        write_json(target, value)
    elif path.suffix == ".md" or (path.suffix == ".jsonl" and not in_model):
        write_text(target, hide.text(path.read_text("utf-8")))
    else:
        target.symlink_to(path.resolve())


def _without_folders(value: Any) -> Any:
    if isinstance(value, str):
        return _FOLDERS.sub("", value)
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    return {key: _without_folders(part) for key, part in value.items()} if isinstance(value, dict) else value


def _card(directory: RunDirectory, copy: RunDirectory, saved: SavedModel, hide: _Paths) -> str:
    """Return the model card without paths; the pretrained model is named where it lies in the copy."""
    card = directory.card.read_text("utf-8")
    copy.card.unlink()
    if directory.recipe.is_file():
        card = card.replace(directory.recipe.read_text("utf-8").rstrip(), copy.recipe.read_text("utf-8").rstrip())
    if saved.source is not None and saved.source in hide.local:
        card = card.replace(f'from_pretrained("{saved.source}"', 'from_pretrained("model/backbone"')
        for text, name in hide.local.items():
            if name == Path(saved.source).name:
                card = card.replace(f'from_pretrained("{text}"', 'from_pretrained("model/backbone"')
    return hide.text(card)


def _put_model(
    catalogue: Catalogue,
    directory: RunDirectory,
    copy: RunDirectory,
    content: dict[str, Any],
    saved: SavedModel,
    hide: Callable[[Any], Any],
) -> None:
    """Write ``model.json`` for what lies in the copy, and the pretrained model if it is to be had here alone."""
    changes: dict[str, Any] = {
        kind: {**content[kind], "options": hide(content[kind]["options"])} for kind in ("task", "backbone", "adapter")
    }
    if saved.source is not None and Path(saved.source).exists():
        try:
            base = load_base(catalogue, saved, directory.model)
            (copy.model / "backbone").mkdir()
            base.save(copy.model / "backbone")
        except (HeadstockError, OSError) as error:
            raise HeadstockError(
                f"the run cannot be uploaded: it builds on {saved.source}, which nobody else has and which cannot go "
                f"along: {error}"
            ) from error
        for path in sorted((copy.model / "backbone").rglob("*config.json")):
            write_json(path, hide(json.loads(path.read_text("utf-8"))))
        changes |= {"source": None, "source_digest": None}
    elif saved.source is not None and hide(saved.source) != saved.source:
        raise HeadstockError(f"the run cannot be uploaded: it builds on {saved.source}, which is not there any more")
    (copy.model / "model.json").unlink()
    changed = {**content, **changes, "files": folder_digests(copy.model)}
    write_json(copy.model / "model.json", sealed(changed))
