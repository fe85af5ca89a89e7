"""Loading from the Hub or a folder through transformers, with one clear line when that cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

from huggingface_hub import utils as hub_utils
from transformers.utils import logging as transformers_logging

from headstock.files import user_path
from headstock.interfaces.remote_code import ADVICE, trusts_remote_code
from headstock_registry import HeadstockError

__all__ = [
    "address",
    "checkpoint_gradients",
    "explain",
    "loading",
    "loading_call",
    "locate",
    "quiet",
    "require_weights",
]

SHOWN_NAMES = 3
"""How many missing weights an error names."""


def locate(name: str, revision: str | None) -> str:
    """Return what to give to ``from_pretrained`` for a Hub id or a folder.

    Raises:
        HeadstockError: it can only be a folder and is none, a revision is given for a folder, or the folder holds an
            adapter.
    """
    path = user_path(name, "backbone.model")
    if path.is_dir():
        if revision is not None:
            raise HeadstockError(f"backbone.revision '{revision}' is for models on the Hub, but '{name}' is a folder")
        if (path / "adapter_config.json").exists():
            # transformers would load the base that the file names, from wherever that is, and the adapter on it.
            raise HeadstockError(f"'{name}' holds an adapter (adapter_config.json), not a whole model; merge it first")
        return str(path)
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise HeadstockError(f"cannot load '{name}': there is no such folder")
    return name


def address(name: str, revision: str | None) -> dict[str, Any]:
    """Return the arguments that tell ``from_pretrained`` where a Hub id or a folder is.

    Whether code beside the weights may run is always among them, as the caller of the command has it: without a word
    on it transformers asks at the terminal.

    Raises:
        HeadstockError: as :func:`locate`.
    """
    found = {"pretrained_model_name_or_path": locate(name, revision), "trust_remote_code": trusts_remote_code()}
    return found if revision is None else {**found, "revision": revision}


def loading_call(loader: str, place: str, config: Any) -> str:
    """Return the call of transformers that loads a model from a Hub id or folder, as a model card gives it.

    Args:
        loader: Name of the class.
        place: Hub id or folder.
        config: The backbone's options, whose revision goes with ``config.model``.
    """
    revision = getattr(config, "revision", None)
    options = f', revision="{revision}"' if revision and place == config.model else ""
    options += ", trust_remote_code=True" if trusts_remote_code() else ""
    return f'{loader}.from_pretrained("{place}"{options})'


@contextlib.contextmanager
def loading(name: str) -> Iterator[None]:
    """Keep transformers quiet about what the caller checks, and turn whatever it raises into one line on ``name``.

    transformers and the Hub client raise errors of a dozen kinds while they load, all of them about the model.

    Raises:
        HeadstockError: anything was raised.
    """
    with quiet():
        try:
            yield
        except HeadstockError:
            raise
        except Exception as error:
            raise HeadstockError(f"cannot load '{name}': {explain(error)}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from logging and from drawing bars over files; bars of downloads stay."""
    # Both modules are without types for these.
    logging: Any = transformers_logging
    hub: Any = hub_utils
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_bars = not hub.are_progress_bars_disabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    if hub_bars:
        hub.enable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if not hub_bars:
            hub.disable_progress_bars()


def checkpoint_gradients(model: Any) -> None:
    """Switch on a transformers model's own gradient checkpointing.

    Raises:
        NotImplementedError: the model has none.
    """
    if not model.supports_gradient_checkpointing:
        raise NotImplementedError(f"{type(model).__name__} has no gradient checkpointing")
    # transformers renamed the method within version 5, and warns of the old name.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable({"use_reentrant": False})


def require_weights(name: str, model: object, missing: Iterable[str]) -> None:
    """Raise when a checkpoint lacks weights, which would otherwise be random without a word.

    Raises:
        HeadstockError: ``missing`` is not empty; names a few.
    """
    lacking = sorted(missing)
    if lacking:
        shown = ", ".join(lacking[:SHOWN_NAMES]) + (", …" if len(lacking) > SHOWN_NAMES else "")
        raise HeadstockError(f"'{name}' lacks {len(lacking)} weights of {type(model).__name__}: {shown}")


def explain(error: Exception) -> str:
    """Return the first line of what transformers raised while loading, or what it means where that is known."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = lines[0].rstrip(".") if lines else type(error).__name__
    if "custom code" in first:
        return f"it comes with Python code of its own; {ADVICE}"
    if "connect to" in first:
        return f"there is no folder of that name, the Hub cannot be reached, and no copy is in the cache ({first})"
    if "safetensors" in first and ("does not appear to have" in first or "no file named" in first):
        return "it has no weights in safetensors format (model.safetensors), the only format that is read"
    if "not a valid model identifier" in first:
        return "there is no folder of that name and no such model on the Hub (a private one needs 'hf auth login')"
    return first
