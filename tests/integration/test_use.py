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
from click.testing import CliRunner, Result
from PIL import Image
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import headstock
from headstock.cli.main import cli as command

Use = Callable[..., Result]

ONE = ["--top-k", "1"]
TEN = ["--top-k", "10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("use")
    lines = [f"a {('good', 'bad')[number % 2]} thing,{('yes', 'no')[number % 2]}" for number in range(40)]
    (folder / "train.csv").write_text("\n".join(["review,stars", *lines]) + "\n")
    overrides = {
        "backbone": "textcnn",
        "data.path": str(folder / "train.csv"),
        "data.columns": {"text": "review", "label": "stars"},
        "trainer.max_steps": 2,
        "device": "cpu",
    }
    headstock.run("text-classification", overrides, out=folder / "run")
    return folder


@pytest.fixture
def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    monkeypatch.chdir(folder)
    return lambda *arguments, stdin=b"": CliRunner().invoke(command, arguments, input=stdin)


def test_evaluate_tells_what_it_left_out(folder: Path, use: Use) -> None:
    (folder / "gaps.csv").write_text("review,stars\na good thing,yes\n,no\na bad thing,no\n,yes\n")
    arguments = ["evaluate", "run", "--data", "gaps.csv", "on_bad_example=skip", "--quiet"]
    table = use(*arguments)
    assert table.exit_code == 0, table.stderr
    first = table.stdout.splitlines()[0]
    assert first.startswith("2 examples, 2 bad rows left out, the first: gaps.csv row 2")
    record = json.loads(use(*arguments, "--json").stdout)
    assert record["examples"] == 2
    assert [line.split(":")[0] for line in record["skipped"]] == ["gaps.csv row 2", "gaps.csv row 4"]


def test_predict_reads_a_file_as_one_text(folder: Path, use: Use) -> None:
    (folder / "letter.txt").write_text("a good thing\nand more\n", encoding="utf-8")
    long = "word " * 1000
    done = use("predict", "run", "letter.txt", "a good thing\nand more", "I lost all of my data.csv", long)
    assert done.exit_code == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == 4
    assert lines[0] == {"example": "letter.txt", "prediction": lines[1]}
    assert done.stderr.startswith("letter.txt is read as one text of 2 lines; if each is a text: headstock")


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["scan.bin"], b"", "scan.bin is not UTF-8 text (invalid start byte); save it as UTF-8; the task takes text"),
        (["missing.csv"], b"", "cannot read missing.csv: no such file"),
        (["train.csvv"], b"", "cannot read train.csvv: no such file; if it is meant as a text"),
        (["train.cvs"], b"", "echo train.cvs | headstock predict run"),
        (["a good thing", "letters/one"], b"", "cannot read letters/one: no such file"),
        (["run/model"], b"", "run/model/model.json has no column 'review', which data.columns.text names"),
        (["letters/one"], b"", "if it is a data set of the Hub, write --data letters/one"),
        (["train.csv", "columns.text=nothing"], b"", "no column 'nothing', which data.columns.text names"),
        (["train.csv", "data.colums.text=review"], b"", "unknown option 'data.colums.text'"),
        (["a thing", "format=csv"], b"", "format=csv is an option of data in a file, and no such file is given"),
        (["a thing", "on_bad_example=maybe"], b"", "data.on_bad_example"),
        (
            ["a thing", "--data", "train.csv"],
            b"",
            "'a thing' is no option of data, and with --data there are no other inputs",
        ),
        (["photo.jpeg"], b"", "cannot read photo.jpeg: no such file"),
        (["-"], b"fine\n\xff\xfe\n", "standard input, line 2: not UTF-8"),
        (["-"], b"fine\n\nfine\n", "standard input, line 2: the text in column 'text' is empty (on_bad_example=skip"),
        (["-"], b'fine\n{"text": "a', "standard input, line 2 is not JSON"),
    ],
)
def test_predict_refuses_in_one_line(folder: Path, use: Use, arguments: list[str], stdin: bytes, message: str) -> None:
    (folder / "scan.bin").write_bytes(b"\xff\xd8\xff\xe0")
    done = use("predict", "run", *arguments, stdin=stdin)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_predict_takes_texts_with_dots_and_slashes(use: Use) -> None:
    texts = ["Hello.", "e.g.", "U.S.A.", "example.com", "well...", "good and/or bad", "3.14", "价格是100元/斤，贵。"]
    done = use("predict", "run", *texts)
    assert done.exit_code == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(texts)
    done = use("predict", "run", stdin=b"letters/one\ntrain.csvv\n")
    assert len(done.stdout.splitlines()) == 2, done.stderr


def test_a_bad_input_is_an_error_or_null(folder: Path, use: Use) -> None:
    (folder / "gap.csv").write_text("review,stars\na good thing,yes\n,no\n")
    predicted = use("predict", "run", "gap.csv")
    assert (predicted.exit_code, predicted.stdout) == (2, "")
    reason = "gap.csv row 2: the text in column 'text' is empty"
    assert predicted.stderr == f"error: {reason} (on_bad_example=skip gives null for such inputs)\n"
    for skip in (["--on-bad-example", "skip"], ["on_bad_example=skip"]):
        done = use("predict", "run", "gap.csv", "a good thing", "-", *skip, stdin=b"fine\n\n\xff\n{\n")
        assert done.exit_code == 0, done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert [line["example"] for line in lines[:2]] == ["gap.csv row 1", "gap.csv row 2"]
        assert [line is None for line in (lines[1]["prediction"], *lines[2:])] == [True, False, False, True, True, True]
        errors = done.stderr.splitlines()
        assert errors[0] == f"null: {reason}"
        assert errors[1].startswith("null: standard input, line 2: the text")
        assert errors[-1] == "4 of 7 inputs cannot be used and have null"
    (folder / "blanks.csv").write_text('review\n""\n""\n')
    done = use("predict", "run", "blanks.csv", "on_bad_example=skip")
    assert [json.loads(line)["prediction"] for line in done.stdout.splitlines()] == [None, None]
    evaluated = use("evaluate", "run", "--data", "gap.csv", "--quiet")
    assert evaluated.exit_code == 2
    assert "data.on_bad_example=skip" in evaluated.stderr
    alone = use("evaluate", "run", "--data", "train.csv", "gap.csv")
    assert alone.exit_code == 2
    assert "'gap.csv' is not an override; to score the model on it write --data gap.csv" in alone.stderr


def test_predict_reads_json_whole_and_maps_its_columns(folder: Path, use: Use) -> None:
    rows = [{"words": f"a {word} thing", "stars": "ignored"} for word in ("good", "bad", "new")]
    (folder / "d.json").write_text(json.dumps(rows))
    mapped = use("predict", "run", "d.json", "columns.text=words")
    assert mapped.exit_code == 0, mapped.stderr
    lines = [json.loads(line) for line in mapped.stdout.splitlines()]
    assert [line["example"] for line in lines] == [f"d.json row {number}" for number in (1, 2, 3)]
    assert use("predict", "run", "--data", "d.json", "data.columns.text=words").stdout == mapped.stdout
    plain = use("predict", "run", *(row["words"] for row in rows))
    assert [json.loads(line) for line in plain.stdout.splitlines()] == [line["prediction"] for line in lines]
    stdin = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert use("predict", "run", "-", "columns.text=words", stdin=stdin).stdout == plain.stdout


def test_how_the_run_read_its_data_holds_for_other_data(folder: Path, use: Use, tmp_path: Path) -> None:
    tabs = "".join(f"a {('good', 'bad')[number % 2]} thing\t{('yes', 'no')[number % 2]}\n" for number in range(40))
    (folder / "tabs.txt").write_text("text\tlabel\n" + tabs)
    data = {
        "backbone": "textcnn",
        "data.path": str(folder / "tabs.txt"),
        "data.format": "tsv",
        "data.limit": 20,
        "data.on_bad_example": "skip",
    }
    headstock.run("text-classification", {**data, "trainer.max_steps": 1, "device": "cpu"}, out=tmp_path / "run")
    run = str(tmp_path / "run")
    (folder / "more.txt").write_text("text\tlabel\n" + tabs + "\tyes\n")
    evaluated = use("evaluate", run, "--data", "more.txt", "--quiet")
    assert evaluated.stdout.startswith("40 examples, 1 bad rows left out"), evaluated.stderr
    assert use("evaluate", run, "--data", "more.txt", "--on-bad-example", "error").exit_code == 2
    predicted = use("predict", run, "more.txt")
    lines = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert len(lines) == 41, predicted.stderr
    assert lines[40]["prediction"] is None


def test_the_best_labels_are_as_many_as_asked_for(folder: Path, use: Use) -> None:
    both, one, ten = (json.loads(use("predict", "run", "a thing", *top).stdout) for top in ([], ONE, TEN))
    assert one == both[:1]
    assert ten == both
    model = headstock.load(folder / "run", device="cpu")
    assert model.predict(["a thing", ""], top_k=1, on_bad_example="skip") == [one, None]
    with pytest.raises(headstock.HeadstockError, match="top_k must be 1 or more"):
        model.predict(["a thing"], top_k=0)


def test_a_test_example_stands_beside_its_input(folder: Path) -> None:
    rows = (folder / "train.csv").read_text().splitlines()[1:]
    for line in (folder / "run/predictions.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert f"{record['input']},{record['reference']}" == rows[int(record["example"].split()[-1]) - 1]


def test_predict_takes_a_folder_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        for folder in (f"photos/{('dark', 'light')[number % 2]}", "new"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            Image.new("L", (12, 12), (40, 200)[number % 2]).save(f"{folder}/{number}.png")
    Path("new/11.png").write_bytes(b"no image")
    overrides = {"backbone": "smallcnn", "data.path": "photos", "trainer.max_steps": 1, "device": "cpu"}
    headstock.run("image-classification", overrides, out="run")
    records = [json.loads(line) for line in Path("run/predictions.jsonl").read_text().splitlines()]
    assert all(record["input"] == record["example"] and Path(record["input"]).exists() for record in records)
    done = CliRunner().invoke(command, ["predict", "run", "new", "photos/dark/0.png", "--on-bad-example", "skip"])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["example"] for line in lines] == [*sorted(map(str, Path("new").iterdir())), "photos/dark/0.png"]
    assert [line["example"] for line in lines if line["prediction"] is None] == ["new/11.png"]
    refused = CliRunner().invoke(command, ["predict", "run", "new"])
    assert (refused.exit_code, refused.stdout) == (2, "")


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
