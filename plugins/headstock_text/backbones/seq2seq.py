"""Encoder-decoders of the transformers library (BART, T5 and their kin) as a backbone that generates text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.modeling_outputs import BaseModelOutput

from headstock import Features, HeadstockError
from headstock.kits.pooling import masked_mean
from headstock.kits.pretrained import address, loading, loading_call, quiet, require_weights
from headstock_text.backbones.encoder import model_limit
from headstock_text.backbones.hub_models import WITH_DECODER
from headstock_text.backbones.pretrained import check_tokenizer
from headstock_text.backbones.transformer import TransformerText, TransformerTextConfig
from headstock_text.generation import Limits


class Seq2SeqTextConfig(TransformerTextConfig):
    """Options of the ``seq2seq`` backbone."""

    pooling: Literal["mean"] = Field(
        "mean", description="vector of a text, for tasks that want one: mean of all tokens"
    )


class Seq2SeqText(TransformerText):
    """The encoder gives the features; a task that generates text uses the decoder, with the model's own tokens.

    ``body`` is the whole model, so that adapters act on the decoder too and ``AutoModelForSeq2SeqLM`` loads the result.
    """

    Config = Seq2SeqTextConfig

    def __init__(self, config: TransformerTextConfig, model: Any, tokenizer: Any) -> None:
        super().__init__(config, model, tokenizer)
        self.max_target_tokens = model_limit(model)
        settings = model.generation_config
        start = settings.decoder_start_token_id
        self._start = settings.bos_token_id if start is None else start
        if self._start is None or tokenizer.eos_token_id is None:
            raise HeadstockError(f"'{self.source}' does not say with which token its decoder starts, or ends")

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task, by language."""
        del task
        return WITH_DECODER if option == "model" else {}

    @classmethod
    def create(cls, config: TransformerTextConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Load the pretrained model from the Hub or a folder."""
        del inputs
        return cls(config, *_load(config.model, config.revision))

    @classmethod
    def load(cls, config: TransformerTextConfig, directory: Path) -> Self:
        """Load what :meth:`save` wrote."""
        return cls(config, *_load(str(directory), None))

    def loading_expression(self, place: str) -> str:
        """Return the call of transformers that loads the model."""
        return loading_call("AutoModelForSeq2SeqLM", place, self.config)

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the token embeddings (B, T, E) as the encoder takes them."""
        embedded: Tensor = super().embed(inputs)
        return embedded * getattr(self.model.get_encoder(), "embed_scale", 1.0)

    @property
    def model(self) -> Any:
        """The model itself, also when an adapter has wrapped it."""
        wrapped: Any = self.body
        return wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the encoder's last hidden states (B, T, D) and their mean."""
        mask = inputs["attention_mask"]
        sequence = self.model.get_encoder()(inputs_embeds=embedded, attention_mask=mask).last_hidden_state
        return Features(sequence, mask.bool(), masked_mean(sequence, mask.bool()))

    # Generation

    def target_ids(self, text: str) -> list[int]:
        """Return the token ids of a target text, the end mark last."""
        ids: list[int] = self.tokenizer(text_target=text, verbose=False)["input_ids"]
        end = self.tokenizer.eos_token_id
        return ids if ids and ids[-1] == end else [*ids, end]

    def target_text(self, ids: list[int]) -> str:
        """Return the text of token ids."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def teacher_forcing(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V) of each next token, given the true ones before it."""
        settings = self.model.config
        known = targets.masked_fill(targets < 0, settings.pad_token_id)
        start = torch.full_like(known[:, :1], self._start)
        output = self.model(
            encoder_outputs=BaseModelOutput(last_hidden_state=features.sequence),
            attention_mask=features.mask.long(),
            decoder_input_ids=torch.cat((start, known[:, :-1]), dim=1),
            use_cache=False,
        )
        logits: Tensor = output.logits
        return logits

    @torch.no_grad()
    def generate(self, features: Features, limits: Limits) -> Tensor:
        """Return the best token ids that the model's own beam search finds, (B, L), padded.

        Generation settings that a checkpoint brings for another purpose (a least length, no repetition) are left out.
        """
        with quiet():
            tokens: Tensor = self.model.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=features.sequence),
                attention_mask=features.mask.long(),
                num_beams=limits.beams,
                max_new_tokens=limits.max_tokens,
                min_length=0,
                no_repeat_ngram_size=0,
                length_penalty=1.0,
                do_sample=False,
            )
        return tokens

    def _check(self) -> None:
        """Try the encoder on two short texts: padding must not matter, and embeddings must do as well as ids."""
        short, long = self.preprocess({"text": "a"}), self.preprocess({"text": "a b c d"})
        with torch.no_grad():
            alone = self.collate([short])
            expected = self.model.get_encoder()(**alone).last_hidden_state[0]
            found = self(self.collate([short, long])).sequence[0, : len(expected)]
        if not (expected - found).abs().max() <= 1e-3 * expected.abs().max():
            raise HeadstockError(
                f"{type(self.model).__name__} ('{self.source}') gives other features from embeddings than from ids, or "
                "for a padded text; it cannot be a backbone"
            )


def _load(name: str, revision: str | None) -> tuple[Any, Any]:
    """Return the model (float32, evaluation mode) and its tokenizer.

    Raises:
        HeadstockError: it cannot be had, is no encoder-decoder, has no fast tokenizer, or is for many languages.
    """
    place = address(name, revision)
    with loading(name):
        config = AutoConfig.from_pretrained(**place)
        if not getattr(config, "is_encoder_decoder", False):
            raise HeadstockError(
                f"'{name}' is a model of type {config.model_type}, which has no decoder that generates text"
            )
        tokenizer = AutoTokenizer.from_pretrained(**place)
        model, info = AutoModelForSeq2SeqLM.from_pretrained(
            dtype=torch.float32, use_safetensors=True, output_loading_info=True, **place
        )
    if hasattr(tokenizer, "set_tgt_lang_special_tokens"):
        raise HeadstockError(
            f"'{name}' translates into many languages, by marks that cannot be chosen here; take a model for one pair"
        )
    require_weights(name, model, info["missing_keys"])
    check_tokenizer(name, tokenizer, int(model.get_input_embeddings().num_embeddings))
    return model, tokenizer
