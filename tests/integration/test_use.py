"""Using a finished run: predict and evaluate through the real command line, and what they refuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import headstock

Use = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("use")
    lines = [f"a {('good', 'bad')[number % 2]} thing,{('yes', 'no')[number % 2]}" for number in range(40)]
    (folder / "train.csv").write_text("\n".join(["review,stars", *lines]) + "\n")
    overrides = {
        "data.path": str(folder / "train.csv"),
        "data.columns": {"text": "review", "label": "stars"},
        "trainer.max_steps": 2,
        "device": "cpu",
    }
    headstock.run("text-classification", overrides, out=folder / "run")
    return folder


@pytest.fixture
def use(folder: Path, command_env: Any) -> Use:
    def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "headstock", *arguments]
        return subprocess.run(
            command, cwd=folder, env=command_env(), input=stdin, capture_output=True, timeout=600, check=False
        )

    return run


def test_evaluate_tells_what_it_left_out(folder: Path, use: Use) -> None:
    (folder / "gaps.csv").write_text("review,stars\na good thing,yes\n,no\na bad thing,no\n,yes\n")
    arguments = ["evaluate", "run", "--data", "gaps.csv", "on_bad_example=skip", "--quiet"]
    table = use(*arguments)
    assert table.returncode == 0, table.stderr
    first = table.stdout.decode().splitlines()[0]
    assert first.startswith("2 examples, 2 bad rows left out, the first: gaps.csv row 2")
    record = json.loads(use(*arguments, "--json").stdout)
    assert record["examples"] == 2
    assert [line.split(":")[0] for line in record["skipped"]] == ["gaps.csv row 2", "gaps.csv row 4"]


def test_predict_reads_a_file_as_one_text(folder: Path, use: Use) -> None:
    (folder / "letter.txt").write_text("a good thing\nand more\n", encoding="utf-8")
    long = "word " * 1000
    done = use("predict", "run", "letter.txt", "a good thing\nand more", "I lost all of my data.csv", long)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 4
    assert lines[0] == lines[1]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["scan.bin"], b"", "scan.bin is not a text in UTF-8"),
        (["missing.csv"], b"", "cannot read missing.csv: no such file"),
        (["train.csvv"], b"", "cannot read train.csvv: no such file; if it is meant as a text"),
        (["train.cvs"], b"", "echo train.cvs | headstock predict run"),
        (["a good thing", "letters/one"], b"", "cannot read letters/one: no such file"),
        (["run/model"], b"", "cannot read run/model: it is a folder"),
        (["photo.jpeg"], b"", "cannot read photo.jpeg: no such file"),
        (["-"], b"fine\n\xff\xfe\n", "standard input, line 2: not UTF-8"),
    ],
)
def test_predict_refuses_in_one_line(folder: Path, use: Use, arguments: list[str], stdin: bytes, message: str) -> None:
    (folder / "scan.bin").write_bytes(b"\xff\xd8\xff\xe0")
    done = use("predict", "run", *arguments, stdin=stdin)
    assert done.returncode == 2
    assert done.stdout == b""
    assert message in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1


def test_predict_takes_texts_with_dots_and_slashes(use: Use) -> None:
    texts = ["Hello.", "e.g.", "U.S.A.", "example.com", "well...", "good and/or bad", "3.14", "价格是100元/斤，贵。"]
    done = use("predict", "run", *texts)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(texts)
    done = use("predict", "run", stdin=b"letters/one\ntrain.csvv\n")
    assert len(done.stdout.splitlines()) == 2, done.stderr


def test_only_evaluate_speaks_of_skipping_rows(folder: Path, use: Use) -> None:
    (folder / "gap.csv").write_text("review,stars\na good thing,yes\n,no\n")
    predicted = use("predict", "run", "gap.csv")
    assert (predicted.returncode, predicted.stdout) == (2, b"")
    assert predicted.stderr.decode() == "error: gap.csv row 2: the text in column 'text' is empty\n"
    evaluated = use("evaluate", "run", "--data", "gap.csv", "--quiet")
    assert evaluated.returncode == 2
    assert "data.on_bad_example=skip" in evaluated.stderr.decode()
    alone = use("evaluate", "run", "--data", "train.csv", "gap.csv")
    assert alone.returncode == 2
    assert "'gap.csv' is not an override; to score the model on it write --data gap.csv" in alone.stderr.decode()


def test_predict_says_on_a_terminal_that_it_reads(folder: Path, command_env: Any) -> None:
    ours, terminal = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headstock", "predict", "run"],
        cwd=folder,
        env=command_env(),
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(terminal)
    os.write(ours, b"a good thing\n\x04")
    output, errors = process.communicate(timeout=600)
    os.close(ours)
    assert process.returncode == 0, errors
    assert len(output.splitlines()) == 1
    assert errors.decode() == "reading standard input, one input a line; end with Ctrl-D\n"


def test_a_base_that_is_only_named_must_still_be_the_same(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "thing"]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    base = tmp_path / "base"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(base)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(words), max_position_embeddings=32, **sizes)
    BertModel(config).save_pretrained(base)
    overrides = {
        "backbone": "transformers",
        "model": str(base),
        "adapter": "linear-probe",
        "trainer.max_steps": 1,
        "data.limit": 16,
        "device": "cpu",
    }
    run = headstock.run("text-classification", overrides, out=tmp_path / "run").path
    assert not (run / "model/backbone").exists()
    assert headstock.load(run).predict(["a good thing"])
    BertModel(config).save_pretrained(base)
    with pytest.raises(headstock.HeadstockError, match=r"base has changed since the model in .* was tuned on it"):
        headstock.load(run)
