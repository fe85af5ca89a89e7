"""The recipe: the whole of a run in one record."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headstock.interfaces import Config

DEFAULT_ADAPTER = "full"
"""The adapter of a recipe that names none; it must be installed like any other."""


class Section(BaseModel):
    """A component by name, and its options as the user wrote them (typed later by the component's own Config)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """Everything beside the name."""
        return dict(self.model_extra or {})


class Recipe(Config):
    """One run.

    ``task``, ``backbone`` and ``adapter`` are a name, or a mapping with ``name`` and the component's options; ``data``
    and ``trainer`` are mappings. What is left out is filled in from the components' defaults when the run starts.
    """

    task: Section = Field(description="what is learned")
    backbone: Section | None = Field(None, description="the encoder; default: the one that the task names")
    adapter: Section = Field(Section(name=DEFAULT_ADAPTER), description="how the backbone is tuned")
    methods: tuple[Section, ...] = Field(
        (), description="how a training batch becomes a loss: names, or mappings with options; the first is outermost"
    )
    data: dict[str, Any] = Field({}, description="where the data is; default: the task's own sample")
    trainer: dict[str, Any] = Field({}, description="optimisation, validation, precision, device")
    seed: int = Field(0, ge=0, lt=2**31, description="seed of weights, order, dropout and augmentation")

    @model_validator(mode="before")
    @classmethod
    def _names_to_sections(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        content = {
            key: {"name": part} if key in ("task", "backbone", "adapter") and isinstance(part, str) else part
            for key, part in value.items()
        }
        methods = content.get("methods")
        if isinstance(methods, str | dict):
            methods = [methods]
        if isinstance(methods, list | tuple):
            content["methods"] = [{"name": part} if isinstance(part, str) else part for part in methods]
        return content
