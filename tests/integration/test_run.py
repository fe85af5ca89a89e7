"""The main job through the real command line, on small data."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import AutoModel, BertConfig, BertModel, PreTrainedTokenizerFast

GOOD = ["good", "fine", "great", "nice", "lovely", "superb", "happy", "bright"]
BAD = ["bad", "poor", "awful", "nasty", "dreadful", "dull", "sad", "grim"]
TEXTCNN = ["run", "text-classification", "backbone=textcnn"]
OWN_DATA = ["path=reviews.csv", "columns.text=review", "columns.label=stars"]
SMALL = ["trainer.epochs=3", "trainer.batch_size=16", "--quiet"]


def reviews(path: Path, rows: int = 120) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["review", "stars"])
        for number in range(rows):
            words = (GOOD, BAD)[number % 2]
            writer.writerow([f"a {words[number % 8]} and {words[number * 3 % 7]} thing", ("5", "1")[number % 2]])
    return path


@pytest.fixture
def tiny_bert(tmp_path: Path) -> Path:
    """A BERT with random weights and a word vocabulary, as a folder that transformers can load."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "and", "thing", *GOOD, *BAD]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    folder = tmp_path / "tiny-bert"
    BertModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    return [f"path={reviews(tmp_path / 'reviews.csv')}", "columns.text=review", "columns.label=stars", *SMALL]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``reviews.csv`` and a finished run on it."""
    folder = tmp_path_factory.mktemp("finished")
    reviews(folder / "reviews.csv")
    return folder


@pytest.fixture(scope="module")
def finished(folder: Path, command_env: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headstock", *TEXTCNN, *OWN_DATA, *SMALL, "--out", "run"]
    return subprocess.run(
        command, cwd=folder, env=command_env(), capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def test_a_run_leaves_everything_it_promises(folder: Path, finished: subprocess.CompletedProcess[str]) -> None:
    assert finished.returncode == 0, finished.stderr
    assert "before" in finished.stdout
    assert "after" in finished.stdout
    run = folder / "run"
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == {
        "README.md",
        "before.json",
        "data.json",
        "environment.json",
        "metrics.jsonl",
        "model",
        "plots",
        "predictions.jsonl",
        "recipe.yaml",
        "results.json",
        "speed.jsonl",
    }
    results = json.loads((run / "results.json").read_text())
    assert results["after"]["metrics"]["accuracy"] > results["before"]["metrics"]["accuracy"]
    assert results["examples"] == {"train": 96, "validation": 12, "test": 12}
    predictions = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(predictions) == 12
    assert set(predictions[0]) == {"example", "input", "reference", "prediction"}
    assert "reviews.csv row " in predictions[0]["example"]
    assert (run / "plots/curves.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "plots/confusion.png").read_bytes().startswith(b"\x89PNG")
    assert (run / "README.md").read_text().startswith("---\n")
    environment = json.loads((run / "environment.json").read_text())
    assert environment["versions"]["torch"]
    assert environment["seed"] == 0
    assert environment["cpu_instructions"]
    assert not any(path.suffix in {".pkl", ".pt", ".pth", ".bin"} for path in run.rglob("*"))


def test_predict_takes_texts_tables_and_standard_input(folder: Path, finished: Any, forked: Any) -> None:
    inputs = ["a great and lovely thing", "reviews.csv", "-"]
    done = forked(folder, "predict", "run", *inputs, input='a dull thing\n{"text": "a superb thing"}\n')
    assert done.returncode == 0, done.stderr
    predictions = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(predictions) == 1 + 120 + 2
    rows = predictions[1:-2]
    assert [row["example"] for row in rows] == [f"reviews.csv row {number}" for number in range(1, 121)]
    alone = [predictions[0], rows[0]["prediction"], rows[1]["prediction"], *predictions[-2:]]
    assert [labels[0]["label"] for labels in alone] == ["5", "5", "1", "1", "5"]
    assert set(predictions[0][0]) == {"label", "score"}


def test_evaluate_takes_the_columns_of_the_run(folder: Path, finished: Any, forked: Any) -> None:
    reviews(folder / "more.csv", 30)
    done = forked(folder, "evaluate", "run", "--data", "more.csv", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["accuracy"] > 0.9


def test_the_same_seed_gives_the_same_run(folder: Path, finished: Any, forked: Any) -> None:
    recipe = "run/recipe.yaml"
    assert forked(folder, "run", recipe, "--out", "again", "--quiet").returncode == 0
    for name in ("metrics.jsonl", "predictions.jsonl", "model/head.safetensors"):
        assert (folder / "run" / name).read_bytes() == (folder / "again" / name).read_bytes()
    assert forked(folder, "run", recipe, "seed=1", "--out", "other", "--quiet").returncode == 0
    assert (folder / "run/metrics.jsonl").read_bytes() != (folder / "other/metrics.jsonl").read_bytes()


def test_a_run_is_never_overwritten_unasked(folder: Path, finished: Any, forked: Any) -> None:
    content = (folder / "run/results.json").read_bytes()
    arguments = [*TEXTCNN, *OWN_DATA, *SMALL, "--out", "run"]
    refused = forked(folder, *arguments)
    assert refused.returncode == 2
    assert "--force replaces it" in refused.stderr
    failed = forked(folder, *TEXTCNN, "path=no.csv", "--out", "run", "--force")
    assert failed.returncode == 2
    assert "no.csv" in failed.stderr
    assert (folder / "run/results.json").read_bytes() == content


def test_a_finished_run_is_not_run_again(folder: Path, finished: Any, forked: Any) -> None:
    content = (folder / "run/results.json").read_bytes()
    done = forked(folder, "run", "run", "--resume")
    assert done.returncode == 0
    assert "finished already" in done.stderr
    assert (folder / "run/results.json").read_bytes() == content


def test_a_tuned_transformer_loads_without_headstock(
    forked: Any, tmp_path: Path, options: list[str], tiny_bert: Path
) -> None:
    done = forked(
        tmp_path, "run", "text-classification", *options, "backbone=transformers", f"model={tiny_bert}", "--out", "run"
    )
    assert done.returncode == 0, done.stderr
    tuned = AutoModel.from_pretrained(tmp_path / "run/model/backbone")
    before = AutoModel.from_pretrained(tiny_bert)
    name = "encoder.layer.0.attention.self.query.weight"
    assert not tuned.state_dict()[name].equal(before.state_dict()[name])
    card = (tmp_path / "run/README.md").read_text()
    assert '`AutoModel.from_pretrained("model/backbone")` is the backbone' in card


def test_a_lora_loads_with_plain_peft(forked: Any, tmp_path: Path, options: list[str], tiny_bert: Path) -> None:
    from peft import PeftModel

    arguments = [*options, "backbone=transformers", f"model={tiny_bert}", "adapter=lora", "learning_rate=0.01"]
    done = forked(tmp_path, "run", "text-classification", *arguments, "--out", "run")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "run/model/backbone").exists()
    saved = load_file(tmp_path / "run/model/adapter/adapter_model.safetensors")
    wrapped = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_bert), tmp_path / "run/model/adapter")
    loaded = {name: value for name, value in wrapped.state_dict().items() if "lora_B" in name}
    assert loaded
    assert any(value.abs().sum() > 0 for value in loaded.values())
    assert len(saved) == 2 * len(loaded)
    card = (tmp_path / "run/README.md").read_text()
    assert f"`PeftModel.from_pretrained(AutoModel.from_pretrained(\"{tiny_bert}\"), 'model/adapter')`" in card
    again = forked(tmp_path, "predict", "run", "a great and lovely thing")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("[{")


@pytest.mark.parametrize("adapter", ["linear-probe", "lora"])
def test_an_adapter_on_a_backbone_from_scratch_comes_back(
    forked: Any, tmp_path: Path, options: list[str], adapter: str
) -> None:
    done = forked(tmp_path, *TEXTCNN, *options, f"adapter={adapter}", "--out", "run")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["trainable_parameters"] < results["parameters"]
    evaluated = forked(tmp_path, "evaluate", "run", "--data", "reviews.csv", "--json")
    assert evaluated.returncode == 0, evaluated.stderr


def test_dry_run_counts_and_leaves_nothing(forked: Any, tmp_path: Path, options: list[str]) -> None:
    before = set(tmp_path.iterdir())
    done = forked(tmp_path, *TEXTCNN, *options, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "96 train, 12 validation, 12 test" in done.stdout
    assert "steps:      18" in done.stdout
    assert set(tmp_path.iterdir()) == before


def test_python_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import headstock

    monkeypatch.chdir(tmp_path)
    path = reviews(tmp_path / "reviews.csv")
    columns = {"text": "review", "label": "stars"}
    overrides = {"backbone": "textcnn", "data.path": str(path), "data.columns": columns, "trainer.epochs": 3}
    result = headstock.run("text-classification", overrides)
    assert result.path == Path("runs/text-classification")
    assert result.after.metrics["accuracy"] >= result.before.metrics["accuracy"]
    model = headstock.load(result.path)
    again = headstock.run("text-classification", {**overrides, "trainer.max_steps": 1})
    assert again.path == Path("runs/text-classification-2")
    forced = headstock.run("text-classification", {**overrides, "trainer.max_steps": 2}, out=again.path, force=True)
    assert (forced.path, forced.training.steps) == (again.path, 2)
    assert model.predict(["a superb and happy thing"])[0][0]["label"] == "5"
    assert model.predict([]) == []
    with pytest.raises(TypeError, match="list of inputs"):
        model.predict("a superb thing")
    with pytest.raises(headstock.BadExampleError, match="input row 2"):
        model.predict(["fine", ""])


def test_a_damaged_record_of_the_first_test_is_made_again(tmp_path: Path) -> None:
    import headstock

    path = reviews(tmp_path / "reviews.csv")
    columns = {"text": "review", "label": "stars"}
    overrides = {"backbone": "textcnn", "data.path": str(path), "data.columns": columns, "trainer.max_steps": 2}
    result = headstock.run("text-classification", overrides, out=tmp_path / "run")
    (tmp_path / "run/results.json").unlink()
    (tmp_path / "run/before.json").write_bytes(b'{"metrics": {"\xff')
    with pytest.raises(headstock.HeadstockError, match=r"before.json is not what was written; delete it, and --resume"):
        headstock.run("text-classification", overrides, out=tmp_path / "run", resume=True)
    (tmp_path / "run/before.json").unlink()
    again = headstock.run("text-classification", overrides, out=tmp_path / "run", resume=True)
    assert (again.before, again.after) == (result.before, result.after)
