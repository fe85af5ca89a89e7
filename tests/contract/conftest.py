"""Tiny models with random weights, in the form in which pretrained ones come."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

BART = {"layers": 1, "attention_heads": 2, "ffn_dim": 64}


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory, tiny_whisper: Path) -> dict[str, Path]:
    """A folder for each backbone that has to be told which model to load."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import (
        BartConfig,
        BartForConditionalGeneration,
        BertConfig,
        BertModel,
        PreTrainedTokenizerFast,
        ViTConfig,
        ViTImageProcessor,
        ViTModel,
        Wav2Vec2Config,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Model,
        YolosConfig,
        YolosForObjectDetection,
    )

    root = tmp_path_factory.mktemp("tiny-models")
    torch.manual_seed(0)

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map(chr, range(33, 127))]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.Split("", "isolated")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(root / "text")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=256, **sizes)).save_pretrained(root / "text")

    ViTModel(ViTConfig(image_size=32, patch_size=8, **sizes)).save_pretrained(root / "image")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(root / "image")

    speech = Wav2Vec2Config(
        **sizes,
        conv_dim=(16, 16, 16),
        conv_kernel=(10, 4, 4),
        conv_stride=(5, 4, 4),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
    )
    Wav2Vec2Model(speech).save_pretrained(root / "speech")
    Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(root / "speech")
    bart = BartConfig(
        vocab_size=len(words),
        d_model=32,
        **{f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in BART.items()},
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=2,
    )
    BartForConditionalGeneration(bart).save_pretrained(root / "seq2seq")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", eos_token="[SEP]"
    ).save_pretrained(root / "seq2seq")
    YolosForObjectDetection(
        YolosConfig(image_size=[32, 32], patch_size=8, num_detection_tokens=6, num_labels=2, **sizes)
    ).save_pretrained(root / "detection")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(root / "detection")
    made = {name: root / name for name in ("text", "image", "speech", "seq2seq", "detection")}
    return {**made, "speech-seq2seq": tiny_whisper}
