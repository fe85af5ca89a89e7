"""What backbones, adapters and tasks have in common: typed options beside the class, and settings of the trainer."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator


class Config(BaseModel):
    """Base of every component's options: frozen, unknown keys are errors, every field says what it means.

    Numbers are finite, whole numbers fit into 64 bits, ``true`` and ``false`` are no numbers, and text holds neither
    NUL nor halves of surrogate pairs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        kinds = _kinds(cls.model_fields[info.field_name or ""].annotation)
        if kinds & {int, float} and not kinds & {bool, Any} and any(isinstance(part, bool) for part in _parts(value)):
            raise ValueError("input should be a number, not true or false")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _fits(cls, value: Any, info: ValidationInfo) -> Any:
        if Any in _kinds(cls.model_fields[info.field_name or ""].annotation):
            return value  # checked by the section that it goes to
        for part in _parts(value):
            if isinstance(part, int) and not -(2**63) <= part < 2**63:
                raise ValueError("input should be a number that fits into 64 bits")
            if isinstance(part, str) and any(each == "\0" or "\ud800" <= each <= "\udfff" for each in part):
                raise ValueError("input should be text without NUL and halves of surrogate pairs")
        return value


def _kinds(annotation: Any) -> set[Any]:
    """Return the types that an annotation is made of."""
    inside = get_args(annotation)
    return {annotation}.union(*map(_kinds, inside)) if inside else {annotation}


def _parts(value: Any) -> Iterator[Any]:
    """Yield a value and all that it holds."""
    yield value
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield key
            yield from _parts(part)
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from _parts(part)


@dataclass(frozen=True)
class TrainingFacts:
    """What :meth:`headstock.Component.trainer_defaults` may go by: all that is known before the first step.

    Attributes:
        task: The task's name.
        backbone: The backbone's name.
        adapter: The adapter's name.
        examples: Examples of the training split.
        pretrained: Whether the backbone starts from pretrained weights.
        parameters: How many numbers the backbone's parameters hold, before an adapter.
        given: What the user wrote into the recipe's ``trainer`` section. It wins in any case; it is here so that other
            settings can suit it, such as the number of epochs a given batch size.
    """

    task: str
    backbone: str
    adapter: str
    examples: int
    pretrained: bool
    parameters: int
    given: Mapping[str, Any] = field(default_factory=dict)


class Component(ABC):  # noqa: B024 - the kinds of component have the abstract methods
    """Something that a recipe names and configures. ``Config`` lists its options."""

    Config: ClassVar[type[Config]] = Config

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return values for the recipe's ``trainer`` section that suit this component with these options.

        They stand above the trainer's own defaults and below what the user wrote. Where several components answer
        for one key, method beats adapter beats backbone beats task. It is asked once the data is read and the
        backbone is made.

        Args:
            config: The component's options.
            facts: The number of training examples, the other components, the size of the backbone.
        """
        del config, facts
        return {}
