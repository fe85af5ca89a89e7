"""The contract kit finds planted faults, each with the check meant for it, and passes what is sound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from headstock.testing.checks import CHECKS
from headstock.testing.runner import checks_for, run_check, run_checks
from headstock.testing.subject import Subject
from headstock_registry import (
    API_VERSION,
    Catalogue,
    Entry,
    PluginRecord,
    Source,
    UnknownNameError,
    load_catalogue,
)

PLUGINS = Path(__file__).parent / "plugins"
sys.path.insert(0, str(PLUGINS))
import kit_faults  # noqa: E402
import kit_sound  # noqa: E402

KINDS = {
    kit_sound.Vowels: "task",
    kit_sound.Letters: "backbone",
    kit_sound.Scale: "adapter",
    kit_sound.Nudge: "method",
}
NAMES = {"task": "vowels", "backbone": "letters", "adapter": "scale", "method": "nudge"}
SOURCE = Source(plugin="kit", distribution="kit", version="unknown")


def entry(cls: type, kind: str) -> Entry:
    return Entry(
        kind=kind,
        name=NAMES[kind],
        target=f"{cls.__module__}:{cls.__name__}",
        summary="made up to be checked",
        modality=None if kind in ("adapter", "method") else "letters",
        api_version=API_VERSION,
        source=SOURCE,
    )


def subject(cls: type, folder: Path) -> Subject:
    """Return a component to check, with the sound ones beside it."""
    kind = next(kind for base, kind in KINDS.items() if issubclass(cls, base))
    entries = [entry(cls if other == kind else base, other) for base, other in KINDS.items()]
    if kind != "adapter":
        full = {"kind": "adapter", "name": "full", "target": "headstock_adapters.full:Full", "modality": None}
        entries = [each for each in entries if each.kind != "adapter"]
        entries.append(entry(kit_sound.Scale, "adapter").model_copy(update=full))
    catalogue = Catalogue([PluginRecord(source=SOURCE, entries=tuple(entries))])
    return Subject(catalogue, catalogue.get(kind, NAMES[kind]), (), folder)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    return {kind: subject(cls, tmp_path_factory.mktemp(kind)) for cls, kind in KINDS.items()}


@pytest.mark.parametrize("kind", NAMES)
def test_the_sound_ones_pass(kind: str, sound: dict[str, Subject]) -> None:
    results = [run_check(check, sound[kind]) for check in checks_for(kind)]
    assert [str(result) for result in results if result.status == "failed"] == []
    skipped = {result.check for result in results if result.status == "skipped"}
    assert skipped <= {"entry-is-light", "backbone-gradient-checkpointing", "data-columns-for"}


def test_a_task_whose_columns_the_data_decides_passes(tmp_path: Path) -> None:
    open_ended = subject(kit_sound.Cells, tmp_path)
    results = [run_check(check, open_ended) for check in checks_for("task") if check.name.startswith(("data", "pred"))]
    assert [str(result) for result in results if result.status == "failed"] == []
    assert {result.check for result in results if result.status == "passed"} >= {"data-columns-for", "data-groups"}


def _ids(value: Any) -> str:
    return str(value.cls.__name__)


@pytest.mark.parametrize("fault", kit_faults.FAULTS, ids=_ids)
def test_a_fault_is_caught(fault: kit_faults.Fault, tmp_path: Path) -> None:
    (check,) = (check for check in CHECKS if check.name == fault.caught_by)
    result = run_check(check, subject(fault.cls, tmp_path))
    assert result.status == "failed", result
    assert result.expected != "no error", result
    assert result.came
    assert check.explanation.splitlines()[-1] in str(result)  # whoever sees it fail sees the rule


def test_every_check_catches_a_fault() -> None:
    # the one on the entry itself is below: it needs a distribution
    assert {check.name for check in CHECKS} - {fault.caught_by for fault in kit_faults.FAULTS} == {"entry-is-light"}


@pytest.mark.parametrize("heavy", [True, False])
def test_an_entry_that_imports_torch_is_caught(heavy: bool, fake_site: Any) -> None:
    both = (entry(kit_sound.Vowels, "task"), entry(kit_sound.Letters, "backbone"))
    module = fake_site.add("kit-plugin", entries=[each.model_dump(exclude={"source"}) for each in both])
    if heavy:
        path = fake_site.folder / f"{module}.py"
        fake_site.module(module, f"import torch\n{path.read_text('utf-8')}")
    results = list(run_checks("vowels", only=["entry-is-light"], catalogue=load_catalogue()))
    assert [result.status for result in results] == ["failed" if heavy else "passed"]
    assert not heavy or "it imports torch" in str(results[0].came)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["textcnn", "--only", "options-are-read"], 0, "options-are-read: passed"),
        (["textcnn", "--only", "option-are-read"], 2, "no check 'option-are-read'; did you mean options-are-read"),
        (["textcn"], 2, "textcnn"),
        (["torchvision"], 2, "model"),
        (["textcnn", "backbone.typo=1"], 2, "typo"),
        (["textcnn", "backbone=bilstm"], 2, "what is checked is backbone 'textcnn'"),
        (["bench"], 2, "brings only commands"),
        (["textcnn", "--explain"], 0, "backbone-cost"),
        (["textcnn", "--only", "options-are-read", "--json"], 0, '"status": "passed"'),
    ],
)
def test_the_command(arguments: list[str], code: int, message: str, forked: Any, tmp_path: Path) -> None:
    done = forked(tmp_path, "check", *arguments)
    assert done.returncode == code, done.stderr
    assert message in (done.stderr if code == 2 else done.stdout)
    assert code != 2 or len(done.stderr.splitlines()) == 1


def test_a_failed_check_says_so(forked: Any, fake_site: Any, tmp_path: Path) -> None:
    described = [
        entry(kit_faults.FloatMask, "backbone").model_dump(exclude={"source"}),
        entry(kit_sound.Vowels, "task").model_dump(exclude={"source"}),
    ]
    fake_site.add("kit-plugin", entries=described)
    options = ["--only", "backbone-features"]
    done = forked(tmp_path, "check", "letters", *options, pythonpath=[fake_site.folder, PLUGINS])
    assert done.returncode == 1
    assert "came     torch.float32" in done.stdout
    assert "declared shapes: sequence (B, T, D), a bool mask (B, T)" in done.stdout


@pytest.mark.parametrize(("kind", "only"), [("tasks", None), ("task", ["numbers"])])
def test_kinds_and_checks_that_are_not_there(kind: str, only: list[str] | None) -> None:
    with pytest.raises(UnknownNameError):
        checks_for(kind, only)


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstock.report.plots.plot_curves", lambda *_: None)
