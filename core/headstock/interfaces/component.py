"""What backbones, adapters and tasks have in common: typed options beside the class."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Base of every component's options: frozen, unknown keys are errors, every field says what it means."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Component(ABC):  # noqa: B024 - the kinds of component have the abstract methods
    """Something that a recipe names and configures. ``Config`` lists its options."""

    Config: ClassVar[type[Config]] = Config

    @classmethod
    def trainer_defaults(cls, config: Any) -> Mapping[str, Any]:
        """Return values for the recipe's ``trainer`` section that suit this component with these options.

        They stand above the trainer's own defaults and below what the user wrote. Where several components answer
        for one key, adapter beats backbone beats task.
        """
        del config
        return {}
