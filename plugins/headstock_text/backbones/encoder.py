"""What all backbones do that are text encoders of the transformers library."""

from __future__ import annotations

import inspect
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from tokenizers import Encoding
from torch import Tensor, nn
from transformers.tokenization_utils_base import TruncationStrategy
from transformers.utils.generic import PaddingStrategy

from headstock import Backbone, Config, Example, Features, HeadstockError, TrainingFacts, json_digest, pad_stack
from headstock.kits import passes
from headstock.kits.pooling import masked_mean
from headstock.kits.pretrained import checkpoint_gradients, loading_call, quiet
from headstock_text.backbones.cuts import note_cut, note_lost_words
from headstock_text.sentencepiece import SPACE, joined_words
from headstock_text.splitting import clean, is_unspaced

FEW = 512
"""Training examples below which batches are small."""
TOLERANCE = 1e-3
"""How far, relative to the largest feature, features from embeddings may lie from features from ids."""


class EncoderConfig(Config):
    """Options of every text encoder."""

    max_length: int = Field(
        256, ge=8, le=1_000_000, description="tokens kept of an example, at most as many as the model can take"
    )
    pooling: Literal["mean", "cls", "pooler"] = Field(
        "mean", description="vector of an example: mean of its tokens, its first token, or the model's own pooler"
    )


def _rate(parameters: int, few: bool) -> float:
    """Return a usual rate for an encoder of that size; small batches want a smaller one."""
    if parameters < 50_000_000:
        return 1e-4 if few else 2e-4
    return 5e-5 if parameters < 200_000_000 else 2e-5


class TransformerEncoder(Backbone):
    """An encoder that ``AutoModel`` loads, with its own fast tokenizer.

    A batch has ``input_ids`` and ``attention_mask`` (B, T), ``token_type_ids`` (B, T) where the tokenizer makes them,
    and ``word_starts`` (B, W) for examples given as words.

    Attributes:
        tokenizer: The model's fast tokenizer.
        max_length: Tokens kept of an example: the option, or the model's own limit if that is lower.
    """

    Config: ClassVar[type[EncoderConfig]] = EncoderConfig
    config: EncoderConfig
    modality: ClassVar[str] = "text"
    cost_unit: ClassVar[str] = "tokens"

    def __init__(self, config: EncoderConfig, model: Any, tokenizer: Any, name: str) -> None:
        super().__init__(config)
        self._name = name
        self.body = model
        # AutoModel would load an encoder with its decoder (T5).
        encoder_half = type(model).__name__.endswith("EncoderModel")
        self._loader = "AutoModelForTextEncoding" if encoder_half else "AutoModel"
        self.tokenizer = tokenizer
        self.tokenizer.truncation_side = "right"
        self.feature_dim = int(model.config.hidden_size)
        self.max_length = min(config.max_length, model_limit(model), tokenizer.model_max_length)
        state = _tokenizer_state(tokenizer)
        self._digest = json_digest(state)
        self._joined = joined_words(tokenizer.backend_tokenizer)
        if self._joined is not None:
            self._joined.enable_truncation(self.max_length)
        self._space = tokenizer.convert_tokens_to_ids(SPACE) if self._joined is not None else None
        self._spaces_before_words = '"ByteLevel"' in json.dumps(state["pre_tokenizer"])
        # Something that stays one token, for a word of which the tokenizer leaves nothing.
        self._unknown = tokenizer.unk_token or tokenizer.mask_token or "?"
        self._takes_token_types = "token_type_ids" in inspect.signature(model.forward).parameters
        names = self.tokenizer.model_input_names
        self._token_types = self._takes_token_types and "token_type_ids" in names
        # The types of a single text's tokens come from a template, which is zeros but for a few models (XLNet).
        self._mixed_types = self._token_types and any(self._tokenize("a b c d").type_ids)
        # A tokenizer without special tokens makes nothing of an empty text.
        self._nothing = [self.tokenizer.convert_tokens_to_ids(self._unknown) or 0]
        self._check()

    def save(self, directory: Path) -> None:
        """Write model and tokenizer as ``save_pretrained`` lays them."""
        model: Any = self.body
        with quiet():
            model.save_pretrained(directory)
            self.tokenizer.save_pretrained(directory)

    def loading_expression(self, place: str) -> str:
        """Return the call of transformers that loads the model."""
        return loading_call(self._loader, place, self.config)

    @classmethod
    def trainer_defaults(cls, config: EncoderConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the tuning of a pretrained encoder: smaller rates for larger ones (Devlin et al. 2019).

        Few examples are seen more often than the usual three times (Mosbach et al. 2021, Zhang et al. 2021). Names want
        more steps than texts, and full batches fewer than small ones; measured, see ``benchmarks/defaults``.
        """
        del config
        few = facts.task == "token-classification" or facts.examples < FEW
        if facts.task == "token-classification":
            settings = passes(facts, steps=600, least=3, most=20)
        else:
            settings = passes(facts, steps=300 if few else 100, least=3, most=15)
        return {"learning_rate": _rate(facts.parameters, few), "warmup_ratio": 0.1, **settings}

    # Inputs

    def fingerprint(self) -> Mapping[str, Any]:
        """Return what the ids depend on: the tokenizer, the length, and what the model takes."""
        return {
            "max_length": self.max_length,
            "tokenizer": self._digest,
            "token_types": self._token_types,
            "unknown": self._unknown,
            "joined": self._joined is not None,
        }

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``input_ids`` (T,) and, as the case may be, ``token_type_ids`` (T,) and ``word_starts`` (W,)."""
        if "words" in inputs:
            encoding, starts = self._encode_words([clean(word) for word in inputs["words"]])
            note_lost_words(len(inputs["words"]) - len(starts), self.max_length)
        else:
            encoding, starts = self._encode_texts(clean(inputs["text"]), inputs.get("text_pair")), None
        example = self._example(encoding.ids, encoding.type_ids)
        if starts is not None:
            example["word_starts"] = torch.tensor(starts, dtype=torch.int64)
        return example

    def preprocess_many(self, inputs: Sequence[Mapping[str, Any]]) -> list[Example]:
        """Return what :meth:`preprocess` returns for each; single texts are tokenized together, on all cores."""
        if any("words" in each or each.get("text_pair") is not None for each in inputs):
            return super().preprocess_many(inputs)
        self.tokenizer.set_truncation_and_padding(
            padding_strategy=PaddingStrategy.DO_NOT_PAD,
            truncation_strategy=TruncationStrategy.LONGEST_FIRST,
            max_length=self.max_length,
            stride=0,
            pad_to_multiple_of=None,
            padding_side=None,
        )
        # What transformers makes of encodings beside their ids takes as long as tokenizing.
        encodings = self.tokenizer.backend_tokenizer.encode_batch_fast([clean(each["text"]) for each in inputs])
        ids = [encoding.ids or self._nothing for encoding in encodings]
        for index, each in enumerate(ids):
            if len(each) >= self.max_length:
                note_cut(bool(encodings[index].overflowing), self.max_length, example=index)
        # Views of one tensor, for to make many small ones takes long.
        lengths = [len(each) for each in ids]
        examples = [{"input_ids": part} for part in torch.split(_flat(ids), lengths)]
        if self._token_types:
            kinds = _flat([encoding.type_ids or [0] for encoding in encodings]) if self._mixed_types else None
            kinds = torch.zeros(sum(lengths), dtype=torch.uint8) if kinds is None else kinds.to(torch.uint8)
            for example, part in zip(examples, torch.split(kinds, lengths), strict=True):
                example["token_type_ids"] = part
        return examples

    def _example(self, ids: list[int], kinds: list[int]) -> Example:
        example = {"input_ids": torch.tensor(ids or self._nothing, dtype=torch.int32)}
        if self._token_types:
            example["token_type_ids"] = torch.tensor(kinds or [0], dtype=torch.uint8)
        return example

    def _tokenize(self, text: str | list[str], pair: str | None = None) -> Encoding:
        encoded = self.tokenizer(
            text,
            pair,
            is_split_into_words=isinstance(text, list),
            truncation=True,
            max_length=self.max_length,
            return_attention_mask=False,
        )
        encoding: Encoding = encoded.encodings[0]
        return encoding

    def _encode_texts(self, text: str, pair: str | None) -> Encoding:
        if pair is None:
            encoded = self._tokenize(text)
            note_cut(bool(encoded.overflowing), self.max_length)
            return encoded
        # The time that tokenizers take to truncate a pair grows with the product of the two lengths.
        pair = clean(pair)
        short, short_pair = self._shortened(text), self._shortened(pair)
        encoded = self._tokenize(short, short_pair)
        whole = short == text and short_pair == pair and not encoded.overflowing
        note_cut(not whole, self.max_length)
        return encoded

    def _shortened(self, text: str) -> str:
        """Return the part of a text of which any token could be kept."""
        encoding = self._tokenize(text)
        return text[: max(end for _, end in encoding.offsets)] if encoding.overflowing else text

    def _encode_words(self, words: list[str]) -> tuple[Encoding, list[int]]:
        # Every word is at least one token, so no more words than this can be kept.
        words = words[: self.max_length]
        if self._spaces_before_words:
            # These tokenizers tell the start of a word by the space before it.
            words = words[:1] + [" " + word for word in words[1:]]
        encoded = self._tokenize_words(words)
        starts = self._starts(encoded)
        cut = bool(encoded.overflowing)
        expected = max(starts, default=-1) + 1 if cut else len(words)
        if len(starts) < expected:
            # Nothing was left of some words (a lone zero-width sign): each must still have a position.
            words = [word if i in starts or i >= expected else self._unknown for i, word in enumerate(words)]
            encoded = self._tokenize_words(words)
            starts = self._starts(encoded)
        return encoded, list(starts.values())

    def _tokenize_words(self, words: list[str]) -> Encoding:
        if self._joined is None:
            return self._tokenize(words)
        spaced = [word if is_unspaced(word) else f" {word}" for word in words]
        return self._joined.encode(spaced, is_pretokenized=True)

    def _starts(self, encoding: Encoding) -> dict[int, int]:
        """Return the position of the first token of each word that has tokens; a lone space is passed over."""
        starts: dict[int, int] = {}
        for position, word in enumerate(encoding.word_ids):
            if word is not None and (word not in starts or encoding.ids[starts[word]] == self._space):
                starts[word] = position
        return starts

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Pad at the right with the tokenizer's padding id, and ``word_starts`` with -1."""
        padding = self.tokenizer.pad_token_id or 0
        most = self.max_length
        input_ids = pad_stack([example["input_ids"] for example in examples], padding, True, most).long()
        lengths = torch.tensor([len(example["input_ids"]) for example in examples])
        attention_mask = (torch.arange(input_ids.shape[1]) < lengths.unsqueeze(1)).long()
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        if "token_type_ids" in examples[0]:
            batch["token_type_ids"] = pad_stack(
                [example["token_type_ids"] for example in examples], 0, True, most
            ).long()
        if "word_starts" in examples[0]:
            batch["word_starts"] = pad_stack([example["word_starts"] for example in examples], -1)
        return batch

    def cost(self, example: Example) -> int:
        """Return the number of tokens."""
        return len(example["input_ids"])

    # Model

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the token embeddings (B, T, E), before positions and normalisation."""
        model: Any = self.body
        embedded: Tensor = model.get_input_embeddings()(inputs["input_ids"])
        return embedded

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the last hidden states (B, T, D) and their pooling (B, D)."""
        given = {name: inputs[name] for name in ("attention_mask", "token_type_ids") if name in inputs}
        output = self.body(inputs_embeds=embedded, **given)
        sequence, mask = output.last_hidden_state, inputs["attention_mask"].bool()
        if self.config.pooling == "pooler":
            pooled = output.pooler_output
        elif self.config.pooling == "cls":
            pooled = sequence[:, 0]
        else:
            pooled = masked_mean(sequence, mask)
        return Features(sequence, mask, pooled)

    def enable_gradient_checkpointing(self) -> None:
        """Switch on the model's own gradient checkpointing."""
        model: Any = self.body
        checkpoint_gradients(model)
        # An encoder has no use for the cache of a decoder, of which transformers says that the two do not go together.
        model.config.use_cache = False

    def _check(self) -> None:
        """Try the model on two short texts: not every architecture can be driven by embeddings or ignores padding."""
        short, long = self.preprocess({"text": "a"}), self.preprocess({"text": "a b c d"})
        first = int(short["input_ids"][0])
        if self.config.pooling == "cls" and first != self.tokenizer.cls_token_id:
            raise HeadstockError(f"the tokenizer of '{self._name}' puts no CLS token first; set pooling to mean")
        with torch.no_grad():
            alone = self.collate([short])
            expected = self.body(**alone).last_hidden_state[0]
            found = self(self.collate([short, long])).sequence[0, : len(expected)]
        if not torch.isfinite(expected).all():
            raise HeadstockError(f"the weights of '{self._name}' give features that are not finite numbers")
        if not (expected - found).abs().max() <= TOLERANCE * expected.abs().max():
            raise HeadstockError(
                f"{type(self.body).__name__} ('{self._name}') gives other features from embeddings than from ids,"
                " or for a padded text; it cannot be a backbone"
            )


def model_limit(model: nn.Module) -> int:
    """Return how many tokens the model has positions for (very many where positions are relative without bound)."""
    settings: Any = model.config
    limit = getattr(settings, "max_position_embeddings", None)
    if not isinstance(limit, int) or limit <= 0:
        return 2**31
    network: Any = model
    words = network.get_input_embeddings()
    for module in model.modules():
        # RoBERTa and its kin count positions from the padding id + 1, and their table must hold that too.
        if isinstance(module, nn.Embedding) and module is not words and module.num_embeddings == limit:
            return limit - (0 if module.padding_idx is None else module.padding_idx + 1)
    return limit


def _tokenizer_state(tokenizer: Any) -> dict[str, Any]:
    """Return all that a tokenizer does, as JSON values; truncation and padding are set anew at each call."""
    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    return {key: value for key, value in state.items() if key not in {"truncation", "padding"}}


def _flat(values: Iterable[Sequence[int]]) -> Tensor:
    """Return the values of all sequences end to end, int32."""
    return torch.from_numpy(np.fromiter(itertools.chain.from_iterable(values), dtype=np.int32))
