"""Speech recognition with a whole Whisper, through the real command line: tune, predict, and transformers beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from transformers import pipeline

RATE = 16_000


def record(path: Path, seconds: float, seed: int) -> None:
    """Write a tone that swells and fades, with a pause in the middle."""
    generator = np.random.Generator(np.random.PCG64(seed))
    time = np.arange(round(seconds * RATE)) / RATE
    sound = 0.4 * np.sin(2 * np.pi * (150 + 90 * seed) * time) * np.sin(5 * time) + generator.normal(0, 0.02, len(time))
    sound[len(sound) // 2 :][: RATE // 3] = 0
    soundfile.write(path, np.clip(sound, -1, 1), RATE, subtype="PCM_16")


def test_a_whole_whisper_is_tuned_and_writes_what_transformers_writes(
    cli: Callable[..., Any], tiny_whisper: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for split, count in (("train", 12), ("validation", 3), ("test", 4)):
        rows = ["file,text"]
        for number in range(count):
            record(data / f"{split}-{number}.wav", 0.6 + 0.2 * number, number)
            rows.append(f"{split}-{number}.wav,Word {number}.")
        if split == "train":
            record(data / "long.wav", 9.0, 7)
            rows.append("long.wav,Words.")
        (data / f"{split}.csv").write_text("\n".join(rows) + "\n")
    run = tmp_path / "run"
    options = ("backbone=speech-seq2seq", f"model={tiny_whisper}", "columns.audio=file", "epochs=2", "batch_size=4")
    done = cli("run", "automatic-speech-recognition", f"path={data}", *options, "learning_rate=0.01", f"--out={run}")
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    assert "language detected: " in said
    assert "train: left out 1 bad rows, the first: " in said
    assert "the recording is longer than the model hears at once" in said
    results = json.loads((run / "results.json").read_text())
    assert any("transcripts compared after the normalisation" in remark for remark in results["data_remarks"])
    assert results["after"]["metrics"]["loss"] < results["before"]["metrics"]["loss"]

    recordings = [str(data / f"test-{number}.wav") for number in range(4)]
    predicted = cli("predict", str(run), *recordings, str(data / "long.wav"))
    assert predicted.returncode == 0, predicted.stderr
    texts = [json.loads(line)["prediction"]["text"] for line in predicted.stdout.splitlines()]
    assert len(set(texts)) > 1
    recognize = pipeline("automatic-speech-recognition", model=str(run / "model" / "backbone"), device="cpu")
    sounds = [soundfile.read(path, dtype="float32")[0] for path in recordings]
    assert texts[:4] == [recognize({"array": sound, "sampling_rate": RATE})["text"].strip() for sound in sounds]
    assert len(texts[4]) > max(len(text) for text in texts[:4])
