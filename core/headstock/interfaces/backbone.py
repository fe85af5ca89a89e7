"""A backbone: an encoder with its own preprocessing."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor, nn

from headstock.interfaces.component import Component
from headstock.interfaces.notes import note, noting
from headstock.interfaces.values.batch import Example, Features
from headstock.interfaces.values.provenance import Provenance


class Backbone(nn.Module, Component):
    """Encodes raw inputs of one modality into :class:`Features`.

    A backbone is made by :meth:`create` (new, or from pretrained weights) or :meth:`load` (from a run), never half
    made. What the raw inputs are is agreed within a modality, e.g. ``{"text": "…"}``.

    Attributes:
        config: The validated ``Config`` of this class.
        modality: Open string; a task runs on backbones of its own modality.
        cost_unit: What :meth:`cost` counts, in the plural, for people.
        thread_safe: Whether :meth:`preprocess` may be called from several threads at once, which pays where a library
            lets go of Python's lock, as decoders of images and sound do. The default is no.
        feature_dim: ``D`` of the features.
        body: The network that adapters act on. An adapter may put a wrapper with the same call in its place.
        source: Where pretrained weights can be had again (a Hub id or a folder): an adapter that leaves them as they
            were is stored without them. ``None`` when made from scratch, or where a run had better hold them.
        provenance: What the model card says of pretrained weights that have no ``source``.
    """

    modality: ClassVar[str]
    cost_unit: ClassVar[str] = "examples"
    thread_safe: ClassVar[bool] = False
    feature_dim: int
    body: nn.Module
    source: str | None = None
    provenance: Provenance | None = None

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @property
    def pretrained(self) -> bool:
        """Whether the weights come from elsewhere: there is a ``source`` or a ``provenance``."""
        return self.source is not None or self.provenance is not None

    @classmethod
    @abstractmethod
    def create(cls, config: Any, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Make a backbone before training.

        Args:
            config: The validated ``Config`` of this class.
            inputs: Raw inputs of the training split only, for what has to be learnt from data (a vocabulary).
        """

    @classmethod
    @abstractmethod
    def load(cls, config: Any, directory: Path) -> Self:
        """Make the backbone that :meth:`save` wrote to ``directory``."""

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write weights (safetensors) and all that :meth:`load` needs (JSON) to ``directory``, which exists.

        A backbone from transformers writes what ``save_pretrained`` writes.
        """

    @classmethod
    def unavailable(cls) -> str | None:
        """Return in one line why no new backbone can be made here (a package is not installed), or ``None``.

        Nothing is read for it. The default is ``None``.
        """
        return None

    @classmethod
    def unsuitable(cls, inputs: Iterable[Mapping[str, Any]]) -> str | None:
        """Return in one line why a new backbone does not suit the data (weights of another language), or ``None``.

        A task's default gives way to the next one then; who named the backbone is told. The default is ``None``.

        Args:
            inputs: What ``Task.inputs`` made of up to 1,000 training rows.
        """
        del inputs
        return None

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return what is usually given for an option that has no default, for the error where it is missing.

        Args:
            option: Name of the option, such as ``model``.
            task: Name of the task.

        Returns:
            Values, the smallest first, by what they are for (``English``, ``Chinese``). The default is none.
        """
        del option, task
        return {}

    def loading_expression(self, place: str) -> str | None:
        """Return the Python expression that loads the body from a Hub id or folder without Headstock, for the card.

        The default is ``None``: only Headstock reads what :meth:`save` writes.
        """
        del place
        return None

    @abstractmethod
    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Turn one raw input into tensors; done once, then cached on disk, so keep it compact (uint8, int16, ids).

        Raises:
            BadExampleError: the input cannot be used (empty, unreadable, too short).
        """

    def preprocess_many(self, inputs: Sequence[Mapping[str, Any]]) -> list[Example]:
        """Return what :meth:`preprocess` returns, for several inputs at once.

        Override it where a library is faster on many (fast tokenizers); the examples must be the same, and what is
        noted must say of which (:func:`headstock.note`, ``example``). The engine calls it from one thread at a time.

        Raises:
            BadExampleError: one of the inputs cannot be used; the engine then asks :meth:`preprocess` for each.
        """
        examples = []
        for index, each in enumerate(inputs):
            with noting() as found:
                examples.append(self.preprocess(each))
            for what, count in found.items():
                note(what, count, example=index)
        return examples

    def fingerprint(self) -> Mapping[str, Any]:
        """Return, as JSON values, everything that :meth:`preprocess` depends on; part of the cache key.

        The default is all options; add what was learnt from data, and digests of files that were read.
        """
        return {"options": self.config.model_dump(mode="json")}

    @abstractmethod
    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Pad and stack examples into the inputs of a batch."""

    def cost(self, example: Example) -> int:
        """Return what an example costs of a batch's budget (tokens, pixels, milliseconds); at least 1."""
        del example
        return 1

    @abstractmethod
    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Turn a collated batch into a continuous tensor: token embeddings, pixels, waveform, spectrogram."""

    @abstractmethod
    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Turn what :meth:`embed` returned into features. An example's features must not depend on its neighbours."""

    def forward(self, inputs: dict[str, Tensor]) -> Features:
        """Return the features of a collated batch."""
        return self.encode(self.embed(inputs), inputs)

    def encoder_parts(self) -> Sequence[nn.Module]:
        """Return the parts whose parameters and buffers :meth:`embed` and :meth:`encode` read.

        The default is the whole backbone. One with a decoder too, which a task's head calls, leaves that out: where
        training changes nothing in these parts, features are computed once and kept, though the decoder is trained.
        """
        return (self,)

    def fixed_parts(self) -> Sequence[nn.Module]:
        """Return the parts that no adapter trains: they stay as they are, in evaluation mode. The default is none."""
        return ()

    def enable_gradient_checkpointing(self) -> None:
        """Trade time for memory: recompute activations in the backward pass.

        Raises:
            NotImplementedError: the backbone has no way to do so.
        """
        raise NotImplementedError
