"""What a person gets wrong: one line that names it, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from PIL import Image

from headstock.cli.main import cli as command
from headstock.cli.termination import TerminatedError
from headstock.engine.run_directory import DirectoryLock, RunDirectory

Invoke = Callable[..., Result]
TEXTCNN = ("run", "text-classification", "backbone=textcnn")
ROWS = [("great fun", "good"), ("very dull", "bad")] * 20


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(command, arguments)


def table(path: Path, rows: list[tuple[str, str]], header: str = "text,label") -> Path:
    path.write_text("\n".join([header, *(f'"{text}",{label}' for text, label in rows)]) + "\n", encoding="utf-8")
    return path


def interrupted(*_: object) -> None:
    """Stand in for training that the user stops at once."""
    raise KeyboardInterrupt


def assert_refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    for part in parts:
        assert part in lines[0]
    assert "Traceback" not in result.output


def test_missing_file(invoke: Invoke, tmp_path: Path) -> None:
    assert_refused(invoke("run", "text-classification", "path=nowhere.csv"), "nowhere.csv")
    assert not any((tmp_path / "runs").glob("*"))


def test_missing_column(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", ROWS, header="review,stars")
    result = invoke("run", "text-classification", "path=reviews.csv")
    assert_refused(result, "reviews.csv", "'text'", "review, stars", "data.columns.text=")


def test_unknown_option(invoke: Invoke) -> None:
    assert_refused(invoke("run", "text-classification", "trainer.epoch=1"), "'trainer.epoch'", "epochs")


def test_unknown_task(invoke: Invoke) -> None:
    assert_refused(invoke("run", "text-clasification"), "text-clasification", "text-classification")


def test_unknown_backbone(invoke: Invoke) -> None:
    assert_refused(invoke("run", "text-classification", "backbone=bilstn"), "bilstn", "bilstm")


def test_empty_text(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", [*ROWS[:6], ("   ", "good"), *ROWS])
    assert_refused(invoke("run", "text-classification", "path=reviews.csv"), "reviews.csv row 7", "on_bad_example=skip")


def test_row_without_label(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", [*ROWS[:3], ("no label here", ""), *ROWS])
    assert_refused(invoke("run", "text-classification", "path=reviews.csv"), "reviews.csv row 4", "no label")


def test_a_label_that_only_test_has(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "train.csv", ROWS)
    table(tmp_path / "test.csv", [("great", "good"), ("so-so", "medium")])
    shared = [*TEXTCNN, "train=train.csv", "test=test.csv", "trainer.max_steps=1", "--out", "run"]
    result = invoke(*shared)
    assert result.exit_code == 0, result.output
    line = "labels that training data has not, scored as wrong: 1 examples (50.0%)"
    assert f"test: {line}" in result.stderr
    record = json.loads((tmp_path / "run/results.json").read_text())
    assert record["after"]["metrics"]["accuracy"] <= 0.5
    assert record["after"]["details"]["per_class"]["medium"]["support"] == 1
    evaluated = invoke("evaluate", "run", "--data", "test.csv", "--quiet")
    assert evaluated.stdout.startswith("2 examples\nlabels that training data has not, scored as wrong: 1 of them\n")


def test_a_column_of_free_text_taken_for_the_label(invoke: Invoke, tmp_path: Path) -> None:
    long = " and more" * 9
    table(tmp_path / "reviews.csv", [(f"a film about {number} things{long}", "good") for number in range(80)])
    result = invoke(*TEXTCNN, "path=reviews.csv", "columns.label=text", "columns.text=label")
    assert_refused(result, "look like free text", "data.columns.label")
    assert long not in result.stderr
    table(tmp_path / "test.csv", [("great", "medium")])
    table(tmp_path / "train.csv", [(f"film {number}", f"kind {number % 60}") for number in range(180)])
    result = invoke(*TEXTCNN, "train=train.csv", "test=test.csv", "trainer.max_steps=1")
    assert result.exit_code == 0, result.output
    assert "labels that training data has not, scored as wrong: 1 examples (100.0%)" in result.stderr
    assert "free text" not in result.stderr


def test_one_label_only(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", [("great", "good")] * 30)
    assert_refused(invoke("run", "text-classification", "path=reviews.csv"), "at least two labels", "good")


def test_bad_rows_are_skipped_counted_and_reported_when_asked(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "train.csv", [*ROWS, ("", "good"), ("fine", "")])
    table(tmp_path / "test.csv", ROWS)
    arguments = ["train=train.csv", "validation=test.csv", "test=test.csv", "max_steps=1", "on_bad_example=skip"]
    result = invoke(*TEXTCNN, *arguments, "--out", "run")
    assert result.exit_code == 0, result.output
    skipped = json.loads((tmp_path / "run/results.json").read_text())["skipped"]
    assert {split: len(lines) for split, lines in skipped.items()} == {"train": 2, "validation": 0, "test": 0}
    assert "train.csv row 41" in skipped["train"][0]
    assert "left out 2 bad rows" in result.stderr


def test_corrupt_image(invoke: Invoke, tmp_path: Path) -> None:
    for number in range(20):
        folder = tmp_path / "photos" / ("cat", "dog")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    broken = tmp_path / "photos/cat/broken.png"
    broken.write_bytes((tmp_path / "photos/cat/0.png").read_bytes()[:60])
    refused = invoke("run", "image-classification", "backbone=smallcnn", "path=photos")
    assert_refused(refused, "error: photos/cat/broken.png cannot be decoded", "on_bad_example=skip")
    result = invoke(
        "run", "image-classification", "backbone=smallcnn", "path=photos", "max_steps=1", "on_bad_example=skip"
    )
    assert result.exit_code == 0, result.output


def test_corrupt_audio(invoke: Invoke, tmp_path: Path) -> None:
    for number in range(20):
        wave = np.random.default_rng(number).normal(0, 0.1, 8000).astype(np.float32)
        soundfile.write(tmp_path / f"{number}.wav", wave, 8000)
    (tmp_path / "7.wav").write_bytes(b"RIFF and nothing more")
    lines = [f"{number}.wav,ab" for number in range(20)]
    (tmp_path / "clips.csv").write_text("\n".join(["audio,text", *lines]) + "\n")
    result = invoke("run", "automatic-speech-recognition", "path=clips.csv")
    assert_refused(result, "clips.csv row 8", "7.wav")


def test_missing_audio_file(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("audio,text\ngone.wav,ab\n" * 1 + "gone.wav,cd\n" * 20)
    assert_refused(invoke("run", "automatic-speech-recognition", "path=clips.csv"), "clips.csv row 1", "gone.wav")


def test_bad_tag(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "names.conll").write_text("Ada\tB-PER\nleft\tO\n\nBob\tX-PER\n\nit\tO\n")
    assert_refused(invoke("run", "token-classification", "path=names.conll"), "names.conll", "line 4", "X-PER")


def test_unwritable_run_directory(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    assert_refused(invoke("run", "text-classification", "--out", "file/run"), "cannot write", "file")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_while_running_names_the_file(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", ROWS)
    options = [*TEXTCNN, "path=reviews.csv", "max_steps=30", "--out", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstock.engine.session.train", interrupted)
        assert invoke(*options).exit_code == 130
    (tmp_path / "run/speed.jsonl").symlink_to("/dev/full")
    assert_refused(invoke(*options, "--resume"), "speed.jsonl", "No space left on device")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to mount a file system")
def test_a_full_file_system_loses_nothing(tmp_path: Path, command_env: Callable[..., dict[str, str]]) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        result = CliRunner().invoke(command, [*TEXTCNN, "--out", str(small / "run"), "epochs=1"])
        assert_refused(result, "cannot write", str(small))
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_folder_that_is_no_run(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/thesis.txt").write_text("years of work")
    result = invoke("run", "text-classification", "--out", "precious", "--force")
    assert_refused(result, "precious", "not a run directory")
    assert (tmp_path / "precious/thesis.txt").read_text() == "years of work"


def test_a_folder_with_a_recipe_of_ones_own_is_no_run(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("task: text-classification\n")
    (tmp_path / "README.md").write_text("my project")
    result = invoke("run", "recipe.yaml", "--out", ".", "--force")
    assert_refused(result, "not a run directory")
    assert (tmp_path / "README.md").read_text() == "my project"


@pytest.mark.parametrize("where", ["headstock.engine.session.prepare_data", "headstock.recipe.read.resolve"])
def test_ctrl_c_before_there_is_a_run(invoke: Invoke, tmp_path: Path, where: str) -> None:
    table(tmp_path / "reviews.csv", ROWS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, interrupted)
        result = invoke("run", "text-classification", "path=reviews.csv", "--out", "run")
    assert result.exit_code == 130
    assert result.stderr.split("\n", 1)[1] == "error: stopped; nothing was trained yet\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("signalled", "code"), [(KeyboardInterrupt, 130), (TerminatedError, 143)])
def test_a_signal_before_the_first_step_and_after_the_last(
    invoke: Invoke, tmp_path: Path, signalled: type[BaseException], code: int
) -> None:
    table(tmp_path / "reviews.csv", ROWS)
    options = [*TEXTCNN, "path=reviews.csv", "max_steps=2", "--quiet"]
    resume_with = "; resume with: headstock run run --resume\n"

    def stopped_in(where: str, *arguments: str) -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"headstock.engine.session.{where}", Mock(side_effect=signalled))
            result = invoke(*arguments)
        assert result.exit_code == code
        return result.stderr.lstrip("\n")

    assert stopped_in("train", *options, "--out", "run") == f"error: stopped; nothing was trained yet{resume_with}"
    resume = ["run", "run", "--resume", "--quiet"]
    assert stopped_in("prepare_data", *resume) == f"error: stopped; nothing was trained yet{resume_with}"
    saved = "error: stopped; all up to the last checkpoint is saved"
    assert stopped_in("save_model", *resume) == saved + resume_with
    result = invoke(*resume)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run/results.json").read_text())["training"]["steps"] == 2
    again = [*options, "--out", "run", "--force"]
    assert stopped_in("prepare_data", *again) == "error: stopped; nothing was trained yet\n"
    assert (tmp_path / "run/results.json").exists()


def test_resume_and_force_exclude_each_other(invoke: Invoke) -> None:
    assert_refused(invoke("run", "text-classification", "--out", "run", "--resume", "--force"), "one of them")


def test_resuming_with_other_data(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", ROWS)
    options = [*TEXTCNN, "path=reviews.csv", "--out", "run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstock.engine.session.train", interrupted)
        assert invoke(*options).exit_code == 130
    table(tmp_path / "reviews.csv", [*ROWS, ("quite good", "good")])
    assert_refused(invoke(*options, "--resume"), "data of run has changed", "--force")


def test_a_run_that_is_running_is_left_alone(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", ROWS)
    lock = DirectoryLock(RunDirectory(tmp_path / "run"))
    assert lock.acquire()
    result = invoke("run", "text-classification", "path=reviews.csv", "--out", "run")
    assert_refused(result, "another process is running in run")
    lock.release()
    assert not (tmp_path / "run").exists()


def test_resuming_another_recipe(invoke: Invoke, tmp_path: Path) -> None:
    table(tmp_path / "reviews.csv", ROWS)
    first = invoke(*TEXTCNN, "path=reviews.csv", "max_steps=1", "--out", "run")
    assert first.exit_code == 0, first.output
    result = invoke(*TEXTCNN, "path=reviews.csv", "max_steps=2", "--out", "run", "--resume")
    assert_refused(result, "another recipe", "trainer.max_steps was 1, is 2")


def test_predicting_without_a_run(invoke: Invoke) -> None:
    assert_refused(invoke("predict", "nowhere", "text"), "nowhere", "no tuned model")


def test_a_missing_model(invoke: Invoke) -> None:
    arguments = ["backbone=transformers", "model=./no-such-folder"]
    assert_refused(invoke("run", "text-classification", *arguments), "no-such-folder")


def test_no_gpu(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = invoke(*TEXTCNN, "device=cuda", "limit=50")
    assert_refused(result, "trainer.device=cuda", "no CUDA device")
    assert not any(Path("runs").glob("*"))
