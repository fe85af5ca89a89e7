"""The contract kit finds planted faults, each with the check meant for it, and passes what is sound."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from headstock.testing.checks import CHECKS
from headstock.testing.runner import checks_for, run_check
from headstock.testing.subject import Subject
from headstock_registry import API_VERSION, Catalogue, Entry, PluginRecord, Source

PLUGINS = Path(__file__).parent / "plugins"
sys.path.insert(0, str(PLUGINS))
import kit_faults  # noqa: E402
import kit_sound  # noqa: E402

KINDS = {kit_sound.Vowels: "task", kit_sound.Letters: "backbone", kit_sound.Scale: "adapter"}
NAMES = {"task": "vowels", "backbone": "letters", "adapter": "scale"}
SOURCE = Source(plugin="kit", distribution="kit", version="unknown")


def entry(cls: type, kind: str) -> Entry:
    return Entry(
        kind=kind,
        name=NAMES[kind],
        target=f"{cls.__module__}:{cls.__name__}",
        summary="made up to be checked",
        modality=None if kind == "adapter" else "letters",
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
    assert skipped <= {"entry-is-light", "backbone-gradient-checkpointing"}


def _ids(value: Any) -> str:
    return str(value.cls.__name__)


@pytest.mark.parametrize("fault", kit_faults.FAULTS, ids=_ids)
def test_a_fault_is_caught(fault: kit_faults.Fault, tmp_path: Path) -> None:
    (check,) = (check for check in CHECKS if check.name == fault.caught_by)
    result = run_check(check, subject(fault.cls, tmp_path))
    assert result.status == "failed", result
    assert result.expected != "no error", result
    assert result.came
    assert result.guide.endswith(check.name)


def test_every_check_but_those_of_entries_catches_a_fault() -> None:
    assert {check.name for check in CHECKS} - {fault.caught_by for fault in kit_faults.FAULTS} == {
        "entry-is-light",
        "data-bad-rows-are-named",
    }


@pytest.fixture(autouse=True)
def _no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstock.engine.run.plot_curves", lambda *_: None)
