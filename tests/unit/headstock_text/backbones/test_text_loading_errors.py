from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BartConfig, BartModel, FNetConfig, FNetModel, ViTConfig, ViTModel
from transformers.utils import logging as transformers_logging

from headstock import HeadstockError
from headstock_text.backbones.transformer import TransformerText, TransformerTextConfig

Encoder = Callable[[str], str]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def folder(tiny_encoder: Encoder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_encoder("bert"), tmp_path / "encoder"))


def problem(model: Path | str, **options: Any) -> str:
    with pytest.raises(HeadstockError) as caught:
        TransformerText.create(TransformerTextConfig(model=str(model), **options), [])
    message = str(caught.value)
    assert "\n" not in message
    return message


def change_config(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def without(folder: Path, *, where: Callable[[str], bool]) -> None:
    path = folder / "model.safetensors"
    weights = {name: value for name, value in load_file(path).items() if not where(name)}
    save_file(weights, path, metadata={"format": "pt"})


@pytest.mark.parametrize("name", ["/nowhere/encoder", "./nowhere", "~/nowhere/at-all", "a/b/c"])
def test_a_folder_that_is_not_there(name: str) -> None:
    assert problem(name) == f"cannot load '{name}': there is no such folder"


def test_a_hub_model_without_network() -> None:
    message = problem("no-such-owner/no-such-model")

    assert message.startswith("cannot load 'no-such-owner/no-such-model': there is no folder of that name")
    assert "the Hub cannot be reached" in message


def test_a_name_that_the_hub_does_not_allow() -> None:
    assert "cannot load 'what is this?'" in problem("what is this?")


def test_an_empty_folder(tmp_path: Path) -> None:
    assert f"cannot load '{tmp_path}'" in problem(tmp_path)


def test_a_revision_of_a_folder(folder: Path) -> None:
    expected = f"backbone.revision 'v1' is for models on the Hub, but '{folder}' is a folder"
    assert problem(folder, revision="v1") == expected


def test_a_config_that_is_not_json(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    assert "not a valid JSON file" in problem(folder)


def test_an_unknown_architecture(folder: Path) -> None:
    change_config(folder, model_type="from-the-future")
    assert "from-the-future" in problem(folder)


def test_code_of_its_own_is_not_run_unless_trusted(folder: Path) -> None:
    change_config(folder, model_type="mine", auto_map={"AutoConfig": "mine.Config", "AutoModel": "mine.Model"})
    (folder / "mine.py").write_text("raise SystemExit('was run')")

    assert "let it run with --trust-remote-code" in problem(folder)


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert "no weights in safetensors format" in problem(folder)


def test_pickled_weights_are_not_read(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()

    assert "no weights in safetensors format" in problem(folder)


def test_broken_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"broken")
    assert f"cannot load '{folder}'" in problem(folder)


def test_weights_that_are_missing_are_named(folder: Path) -> None:
    without(folder, where=lambda name: name.startswith("encoder.layer.1.attention"))
    message = problem(folder)

    assert f"'{folder}' lacks 10 weights of BertModel: encoder.layer.1.attention" in message
    assert message.endswith(", …")


def test_weights_of_another_shape(folder: Path) -> None:
    change_config(folder, intermediate_size=64)
    assert f"cannot load '{folder}'" in problem(folder)


def test_weights_that_are_no_numbers(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["encoder.layer.0.output.dense.bias"].fill_(float("nan"))
    save_file(weights, path, metadata={"format": "pt"})

    assert "not finite numbers" in problem(folder)


def test_a_missing_pooler_matters_only_if_it_is_wanted(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    without(folder, where=lambda name: name.startswith("pooler."))
    capfd.readouterr()
    TransformerText.create(TransformerTextConfig(model=str(folder)), [])

    assert capfd.readouterr() == ("", "")
    assert problem(folder, pooling="pooler") == f"'{folder}' has no weights for its pooler; set pooling to mean or cls"


def test_weights_of_another_head_are_no_news(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = folder / "model.safetensors"
    save_file({**load_file(path), "cls.predictions.bias": torch.zeros(4)}, path, metadata={"format": "pt"})
    capfd.readouterr()
    TransformerText.create(TransformerTextConfig(model=str(folder)), [])

    assert capfd.readouterr() == ("", "")


def test_a_model_without_pooler(tiny_encoder: Encoder) -> None:
    message = problem(tiny_encoder("distilbert"), pooling="pooler")
    assert message == "DistilBertModel has no pooler of its own; set pooling to mean or cls"


def test_no_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()
    assert "has no tokenizer files" in problem(folder)


def test_a_tokenizer_of_another_model(tiny_encoder: Encoder, folder: Path) -> None:
    change_config(folder, vocab_size=50)
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:50].clone()
    save_file(weights, path, metadata={"format": "pt"})

    assert "its model only 50 embeddings" in problem(folder)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            FNetModel(FNetConfig(vocab_size=400, hidden_size=8, num_hidden_layers=1, intermediate_size=8)),
            "cannot be a text backbone: it takes no attention_mask",
        ),
        (
            ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)),
            "cannot be a text backbone: it takes no inputs_embeds",
        ),
        (
            BartModel(
                BartConfig(
                    vocab_size=400,
                    d_model=8,
                    encoder_layers=1,
                    decoder_layers=1,
                    encoder_attention_heads=2,
                    decoder_attention_heads=2,
                    encoder_ffn_dim=8,
                    decoder_ffn_dim=8,
                )
            ),
            "is a BartModel, an encoder with a decoder; take an encoder alone",
        ),
    ],
    ids=["fnet", "vit", "bart"],
)
def test_architectures_that_are_no_text_encoder(tiny_encoder: Encoder, folder: Path, model: Any, message: str) -> None:
    model.save_pretrained(folder)
    assert message in problem(folder)


def test_settings_of_transformers_are_as_before(folder: Path) -> None:
    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    bars = huggingface_hub.utils.are_progress_bars_disabled()
    TransformerText.create(TransformerTextConfig(model=str(folder)), [])
    problem(folder, revision="v1")

    assert (transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()) == before
    assert huggingface_hub.utils.are_progress_bars_disabled() == bars
