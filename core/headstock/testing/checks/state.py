"""Checks of what is written and read again: models, checkpoints."""

from __future__ import annotations

import zipfile
from pathlib import Path

from headstock.console import Console
from headstock.engine.models.model_files import load_model
from headstock.testing.check import KINDS, check, expect
from headstock.testing.checks.compare import difference
from headstock.testing.subject import Subject

EVERY_STEP = "trainer.checkpoint_every=1"


class _Cut(Exception):  # noqa: N818
    """Stands for whatever ends a run."""


class _CuttingConsole(Console):
    """Ends the run where it tells of the first validation, with one checkpoint behind it."""

    def __init__(self) -> None:
        super().__init__(quiet=True)

    def line(self, text: str) -> None:
        if ", validation:" in text and not text.startswith("step 0/"):
            raise _Cut


@check("state-saved-model", *KINDS)
def state_saved_model(subject: Subject) -> None:
    """A saved model, loaded again, predicts the same.

    The task restores its state, the backbone is loaded from its own files or made again from where it came from, the
    adapter attaches what it saved. Whatever is neither in ``state()``, in the options nor in the weights is lost.
    """
    folder = subject.finished
    records = subject.written_predictions(folder)
    built = subject.build()
    _, loaded = load_model(subject.catalogue, folder / "model")
    rows = range(len(built.splits["test"]))
    predictions = subject.predict(built._replace(module=loaded), rows, "test")
    for number, (record, prediction) in enumerate(zip(records, predictions, strict=True)):
        found = difference(record["prediction"], prediction)
        expect(not found, f"the prediction for test example {number} as before saving", str(found))


@check("state-resume", *KINDS)
def state_resume(subject: Subject) -> None:
    """A run that was cut off and resumed ends like one that was not, bit for bit.

    Everything that training changes is a parameter or a buffer, and everything random comes from torch's global
    generator, which is seeded for each step.
    """
    folder = subject.new_folder() / "run"
    try:
        subject.run(folder, EVERY_STEP, console=_CuttingConsole())
    except _Cut:
        subject.run(folder, EVERY_STEP, resume=True)
    for path in sorted(subject.finished.rglob("*")):
        name = path.relative_to(subject.finished)
        if path.suffix == ".safetensors" or name.name in ("metrics.jsonl", "predictions.jsonl"):
            other = folder / name
            same = other.exists() and other.read_bytes() == path.read_bytes()
            expect(
                same, f"{name} as of a run that was not cut off", "another one" if other.exists() else "no such file"
            )


@check("state-nothing-pickled", *KINDS)
def state_nothing_pickled(subject: Subject) -> None:
    """Nothing that a run writes is a pickle: weights are safetensors, everything else JSON or text.

    Reading a pickle can run any code, and a run is something that people share.
    """
    pickled = [str(path.relative_to(subject.finished)) for path in subject.finished.rglob("*") if _is_pickle(path)]
    expect(not pickled, "no pickled file in a run", ", ".join(pickled))


def _is_pickle(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".joblib"):
        return True
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    with path.open("rb") as stream:
        start = stream.read(2)
    # safetensors begin with a length, which may look like a pickle's protocol
    return path.suffix != ".safetensors" and len(start) == 2 and start[0] == 0x80 and start[1] <= 5


CHECKS = (state_saved_model, state_resume, state_nothing_pickled)
