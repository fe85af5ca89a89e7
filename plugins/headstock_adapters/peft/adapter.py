"""The adapter ``peft``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import peft
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from pydantic import Field, field_validator, model_validator
from torch import nn
from transformers.pytorch_utils import Conv1D

from headstock import Adapter, Backbone, Config, HeadstockError, TrainingFacts, note
from headstock_adapters.peft.files import read_settings, write_adapter
from headstock_adapters.peft.methods import CONFIGS, HEAD_RATE, PROMPTS, RATE, RATES, REFUSED, REMARKS, method_name
from headstock_adapters.peft.options import checked_options, config_for, takes_copies
from headstock_adapters.peft.prompts import check_body, put_hooks
from headstock_adapters.peft.sizes import fitted
from headstock_adapters.peft.targets import choose_layers, norms_of
from headstock_adapters.statistics import train_with_fixed_statistics
from headstock_adapters.wrapping import first_line, leave_fast_path, quiet

PLAIN = {kind.forward for kind in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, Conv1D)}
"""What layers do that take an update of their weight as it is."""
METHODS = [name for name in CONFIGS if name not in REFUSED]


class PeftOptions(Config):
    """Options of :class:`Peft`."""

    method: str = Field(
        description=f"method of the peft library, of version {peft.__version__}: {', '.join(METHODS)}",
        json_schema_extra={"examples": list(METHODS)},
    )
    options: dict[str, Any] = Field(
        {}, description="the method's own options, by the names that peft's class of settings has for them"
    )
    target_modules: Literal["auto"] | Annotated[list[str], Field(min_length=1)] = Field(
        "auto",
        description="layers that the method acts on, by name or last part of the name; auto: all that it can act on",
    )

    also_train: list[Literal["norms"]] = Field(
        [], max_length=1, description="what else is trained, as copies: norms, the normalisation layers"
    )

    @field_validator("method")
    @classmethod
    def _method_of_peft(cls, method: str) -> str:
        try:
            return method_name(method)
        except HeadstockError as error:
            raise ValueError(str(error)) from error

    @model_validator(mode="after")
    def _options_of_method(self) -> PeftOptions:
        try:
            checked_options(self.method, self.options)
        except HeadstockError as error:
            raise ValueError(str(error)) from error
        if self.method in PROMPTS and self.target_modules != "auto":
            raise ValueError(f"adapter.target_modules: method '{self.method}' acts on no layers; leave it out")
        if self.also_train and not takes_copies(self.method):
            raise ValueError(f"adapter.also_train: nothing can be trained beside method '{self.method}'; leave it out")
        return self


class Peft(Adapter):
    """Tunes the frozen body by any method of the peft library that means something for an encoder.

    Files are peft's own, so that ``PeftModel.from_pretrained(AutoModel.from_pretrained(base), directory)`` loads them.
    Source: S. Mangrulkar et al., "PEFT: State-of-the-art Parameter-Efficient Fine-Tuning methods", 2022; the paper of
    each method is named in peft's documentation.
    """

    Config = PeftOptions
    config: PeftOptions
    keeps_base: ClassVar[bool] = True
    starts_at_base: ClassVar[bool] = False

    @classmethod
    def trainer_defaults(cls, config: Any, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return a rate for the method, and for the head the usual one: the rate decides more than the method.

        Measured on texts, see ``benchmarks/adapters``. Who gives ``learning_rate`` means all that is trained.
        """
        rate = {"learning_rate": RATES.get(config.method, RATE)}
        return rate if "learning_rate" in facts.given else {**rate, "head_learning_rate": HEAD_RATE}

    def attach(self, backbone: Backbone) -> None:
        """Freeze the backbone and put a ``PeftModel`` in the place of its body.

        Raises:
            HeadstockError: the body has nothing that the method acts on, or not with these options.
        """
        method = self.config.method
        backbone.requires_grad_(False)
        options = checked_options(method, self.config.options)
        layers: list[str] = []
        if method in PROMPTS:
            vectors: Any = config_for(method, options, [])
            check_body(method, backbone, vectors.num_virtual_tokens)
        else:
            layers = choose_layers(method, backbone.body, self.config.target_modules, backbone.fixed_parts())
            options = {**fitted(method, [backbone.body.get_submodule(name) for name in layers]), **options}
        copies = self._copies(backbone)
        config = config_for(method, options, layers, copies)
        with quiet():
            try:
                backbone.body = peft.get_peft_model(backbone.body, config)
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:  # each method has its own ways to fail
                raise HeadstockError(
                    f"method '{method}' of adapter 'peft' does not fit this backbone: {first_line(error)}"
                ) from error
        if sum(isinstance(module, ModulesToSaveWrapper) for module in backbone.body.modules()) != len(copies):
            raise HeadstockError(
                "adapter.also_train: names of layers of this backbone end in names of others; leave it out"
            )
        self._settle(backbone)
        if not any(parameter.requires_grad for parameter in backbone.body.parameters()):
            raise HeadstockError(f"method '{method}' of adapter 'peft' has nothing to train in this backbone")
        if method in REMARKS:
            note(REMARKS[method], len(layers))

    def set_mode(self, backbone: Backbone, training: bool) -> None:
        """Set the mode; running statistics belong to the frozen weights and stay as they are."""
        train_with_fixed_statistics(backbone, training)

    def merge(self, backbone: Backbone) -> None:
        """Add to the weights what the method learnt for them, and take peft's wrapper away.

        Raises:
            NotImplementedError: the method's part is beside the weights, or a layer does more with its weight than
                multiply by it.
        """
        method = self.config.method
        body: Any = backbone.body
        if method in (*PROMPTS, "poly", "lily"):
            raise NotImplementedError(f"what method '{method}' learns is beside the weights")
        for module in body.modules():
            if isinstance(module, BaseTunerLayer):
                layer = module.get_base_layer()
                if type(layer).forward not in PLAIN and method != "ln_tuning":
                    raise NotImplementedError(f"an update of a {type(layer).__name__} cannot be added to its weight")
        backbone.body = body.merge_and_unload()

    def save(self, backbone: Backbone, directory: Path) -> None:
        """Write ``adapter_config.json`` and ``adapter_model.safetensors`` as peft lays them."""
        write_adapter(backbone.body, directory)

    def load(self, backbone: Backbone, directory: Path) -> None:
        """Put a ``PeftModel`` with the saved weights, all frozen, in the place of the body.

        Raises:
            HeadstockError: the files are missing, damaged, of another method or of another network.
        """
        config = read_settings(
            directory, self.config.method, self.config.options, backbone.body, self._copies(backbone)
        )
        backbone.requires_grad_(False)
        with quiet():
            try:
                backbone.body = peft.PeftModel.from_pretrained(
                    backbone.body, str(directory), config=config, torch_device="cpu"
                )
            except (torch.OutOfMemoryError, MemoryError):
                raise
            except Exception as error:  # damaged files, and each method's own ways to fail
                raise HeadstockError(f"cannot load the adapter in {directory}: {first_line(error)}") from error
        backbone.requires_grad_(False)
        self._settle(backbone)

    def _copies(self, backbone: Backbone) -> list[str]:
        return norms_of(backbone.body, backbone.fixed_parts()) if self.config.also_train else []

    def _settle(self, backbone: Backbone) -> None:
        """Make the wrapped body take and give what the plain one does."""
        method, body = self.config.method, backbone.body
        if method in PROMPTS:
            settings: Any = body.active_peft_config
            put_hooks(body, method, settings.num_virtual_tokens)
        if method == "poly":
            for module in body.modules():
                if isinstance(module, BaseTunerLayer):
                    module.register_forward_pre_hook(_one_task, with_kwargs=True)
        leave_fast_path(backbone)


def _one_task(module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Tell a layer of Poly that all examples are of the one task that a run has."""
    states = given[0]
    return given, {**named, "task_ids": torch.zeros(len(states), dtype=torch.long, device=states.device)}
