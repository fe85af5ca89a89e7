"""From a recipe as written to one with every component imported and every option typed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import yaml

from headstock.data import DataConfig
from headstock.interfaces import Adapter, Backbone, Method, Task
from headstock.interfaces.remote_code import without_consent
from headstock.recipe.backbones import Defaults, default_backbones, fitting_backbone
from headstock.recipe.choices import choices, required_options
from headstock.recipe.components import component_class
from headstock.recipe.errors import RecipeError, validated
from headstock.recipe.model import DEFAULT_ADAPTER, Recipe, Section
from headstock.recipe.source import COMPONENTS, Assignment, assign, component_of, parse_recipe
from headstock.trainer.config import TrainerConfig
from headstock_registry import Catalogue, Entry, PluginError, nearest

C = TypeVar("C")


@dataclass(frozen=True)
class Part(Generic[C]):
    """A component that a recipe names: how it is named there, its entry, its class and its typed options."""

    name: str
    entry: Entry
    cls: type[C]
    config: Any

    @property
    def spelled_out(self) -> dict[str, Any]:
        """Name and all options, as a recipe gives them."""
        return {"name": self.name, **self.config.model_dump(mode="json")}


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe that is checked. What its ``trainer`` section leaves open is settled once the data is read.

    Attributes:
        recipe: Spells out every option, defaults included; of ``trainer`` what the user gave, once it is settled all.
        trainer: With the trainer's own defaults for what is open.
        chosen: A line for each component that chose settings of the trainer, once they are settled.
        remarks: A line for each default that could not be taken.
        methods: The outermost first.
        alternatives: Backbones to try in turn where the recipe names none and the default does not suit the data.
    """

    recipe: Recipe
    task: Part[Task]
    backbone: Part[Backbone]
    adapter: Part[Adapter]
    data: DataConfig
    trainer: TrainerConfig
    seed: int
    chosen: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    methods: tuple[Part[Method], ...] = ()
    alternatives: tuple[Part[Backbone], ...] = ()

    @property
    def given(self) -> Mapping[str, Any]:
        """What the recipe says of the trainer: before it is settled, what the user wrote."""
        return self.recipe.trainer

    def to_yaml(self) -> str:
        """Return the recipe as YAML that resolves to the same again, with comments on what was chosen."""
        text = yaml.safe_dump(self.recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=100)
        return "".join(f"# {line}\n" for line in self.chosen) + text


def resolve(
    catalogue: Catalogue, content: Mapping[str, Any], assignments: Sequence[Assignment] = (), where: str = "recipe"
) -> ResolvedRecipe:
    """Check a recipe's content and the overrides on it, and import what it names.

    An override whose first key is no section is a short form: it is put into the one section that has such an option.

    Raises:
        RecipeError: a key or value at fault, or a component that does not fit the task.
        UnknownNameError, NameConflictError, PluginError: a component that cannot be had.
    """
    long = [item for item in assignments if item[0][0] in Recipe.model_fields]
    short = [item for item in assignments if item[0][0] not in Recipe.model_fields]
    merged = assign(dict(content), long)
    components, defaults = _components(catalogue, merged, where)
    remarks = defaults.remarks
    for section, (entry, _) in components.items():
        merged[section] = {**component_of(merged, section), "name": catalogue.name(entry)}
    with _explained(remarks):
        recipe = parse_recipe(assign(merged, [_lengthen(item, components, catalogue) for item in short]), where)
    task: Part[Task] = _part(catalogue, components["task"], recipe.task.options)
    options = recipe.backbone.options if recipe.backbone else {}
    with _explained(remarks):
        backbone: Part[Backbone] = _backbone_part(catalogue, task, components["backbone"], options)
    adapter: Part[Adapter] = _part(catalogue, components["adapter"], recipe.adapter.options)
    parts: dict[str, Part[Any]] = {"task": task, "backbone": backbone, "adapter": adapter}
    data = validated(DataConfig, recipe.data, "data")
    trainer = validated(TrainerConfig, recipe.trainer, "trainer")
    names = [metric.name for metric in task.cls.metrics]
    if trainer.metric not in (None, "loss", *names):
        raise RecipeError(
            f"'trainer.metric': no metric '{trainer.metric}'{nearest(str(trainer.metric), [*names, 'loss'])}"
        )
    methods = tuple(_method_part(catalogue, section) for section in recipe.methods)
    spelled_out: dict[str, Any] = {key: part.spelled_out for key, part in parts.items()}
    if methods:
        spelled_out["methods"] = [method.spelled_out for method in methods]
    given = trainer.model_dump(mode="json", exclude_unset=True)
    complete = Recipe.model_validate(
        spelled_out | {"data": data.model_dump(mode="json"), "trainer": given, "seed": recipe.seed}
    )
    alternatives = _alternatives(catalogue, task, defaults.names[1:], options)
    return ResolvedRecipe(
        complete,
        task,
        backbone,
        adapter,
        data,
        trainer,
        recipe.seed,
        remarks=tuple(remarks),
        methods=methods,
        alternatives=tuple(alternatives),
    )


def _components(
    catalogue: Catalogue, content: Mapping[str, Any], where: str
) -> tuple[dict[str, tuple[Entry, Any]], Defaults]:
    """Return entry and class of what the recipe names, or of the defaults where it names nothing."""
    named = {section: component_of(content, section).get("name") for section in COMPONENTS}
    if not isinstance(named["task"], str):
        raise RecipeError(f"{where}: 'task' is required: the name of a task, see `headstock tasks`")
    task_entry = catalogue.get("task", named["task"])
    task: type[Task] = component_class(catalogue, task_entry)
    defaults = Defaults([], [])
    if named["backbone"] is None:
        defaults = default_backbones(catalogue, task_entry, task)
        named["backbone"] = defaults.names[0]
    backbone = fitting_backbone(catalogue, task, str(named["backbone"]))
    adapter = catalogue.get("adapter", DEFAULT_ADAPTER if named["adapter"] is None else str(named["adapter"]))
    components = {
        "task": (task_entry, task),
        "backbone": (backbone, component_class(catalogue, backbone)),
        "adapter": (adapter, component_class(catalogue, adapter)),
    }
    return components, defaults


@contextmanager
def _explained(remarks: Sequence[str]) -> Iterator[None]:
    """Add to an error that a default could not be taken: the options may be those of the default."""
    try:
        yield
    except RecipeError as error:
        if not remarks:
            raise
        raise RecipeError("; ".join([str(error), *remarks])) from error


def _lengthen(item: Assignment, components: Mapping[str, tuple[Entry, Any]], catalogue: Catalogue) -> Assignment:
    path, value = item
    without_consent({path[0]: value}, "recipe")
    fields = {"data": DataConfig.model_fields, "trainer": TrainerConfig.model_fields} | {
        section: cls.Config.model_fields for section, (_, cls) in components.items()
    }
    homes = [section for section, known in fields.items() if path[0] in known]
    if len(homes) == 1:
        return [homes[0], *path], value
    key = ".".join(path)
    if homes:
        choices = " or ".join(f"{section}.{key}" for section in homes)
        raise RecipeError(f"'{key}' is an option of several sections; write {choices}")
    others = _with_option(path[0], components["task"][1], catalogue)
    if others:
        kinds = " or ".join(f"{kind} {', '.join(names)}" for kind, names in others.items())
        choice = " or ".join(f"{kind}={names[0] if len(names) == 1 else 'NAME'}" for kind, names in others.items())
        raise RecipeError(f"option '{key}' belongs to {kinds}; choose with {choice}")
    known_keys = [name for known in fields.values() for name in known]
    if len(path) > 1:
        known_keys += [f"{section}.{name}" for section, known in fields.items() for name in known]
    raise RecipeError(f"unknown option '{key}'{nearest(key, [*known_keys, *Recipe.model_fields])}")


def _with_option(key: str, task: type[Task], catalogue: Catalogue) -> dict[str, list[str]]:
    """Return the backbones that fit the task and the adapters that have an option, by kind."""
    found: dict[str, list[str]] = {}
    for entry in (*catalogue.entries("backbone"), *catalogue.entries("adapter")):
        try:
            fits = entry.modality in (None, task.modality)
            if fits and key in component_class(catalogue, entry).Config.model_fields:
                found.setdefault(entry.kind, []).append(catalogue.name(entry))
        except PluginError:
            continue  # what cannot be imported cannot be chosen
    return found


def _backbone_part(
    catalogue: Catalogue, task: Part[Task], component: tuple[Entry, Any], options: dict[str, Any]
) -> Part[Backbone]:
    """Return the backbone with its options; where one is missing, the error says what there is to choose from."""
    try:
        return _part(catalogue, component, options)
    except RecipeError as error:
        cls: type[Backbone] = component[1]
        missing = [name for name in required_options(cls) if name not in options]
        if not missing:
            raise
        advice = choices(catalogue, (task.entry, task.cls), cls, missing)
        raise RecipeError("; ".join([str(error), *advice])) from error


def _method_part(catalogue: Catalogue, section: Section) -> Part[Method]:
    entry = catalogue.get("method", section.name)
    cls = component_class(catalogue, entry)
    config = validated(cls.Config, without_consent(section.options, "methods"), f"method {entry.name}")
    return Part(catalogue.name(entry), entry, cls, config)


def _alternatives(
    catalogue: Catalogue, task: Part[Task], names: Sequence[str], options: dict[str, Any]
) -> Iterator[Part[Backbone]]:
    """Yield the backbones that can take the place of the default: those that have the options which are given."""
    for name in names:
        entry = fitting_backbone(catalogue, task.cls, name)
        try:
            yield _part(catalogue, (entry, component_class(catalogue, entry)), options)
        except RecipeError:
            continue  # whoever gives an option of the default means the default


def _part(catalogue: Catalogue, component: tuple[Entry, Any], options: dict[str, Any]) -> Part[Any]:
    entry, cls = component
    return Part(
        catalogue.name(entry), entry, cls, validated(cls.Config, without_consent(options, entry.kind), entry.kind)
    )
