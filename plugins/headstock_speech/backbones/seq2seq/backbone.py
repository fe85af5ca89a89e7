"""The ``speech-seq2seq`` backbone: Whisper and its like, encoder and decoder."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers.generation.utils import GenerationMixin
from transformers.modeling_outputs import BaseModelOutput

from headstock import BadExampleError, Example, Features, TrainingFacts, note, pad_stack
from headstock.kits import UNSPACED, scripts_of
from headstock.kits.passes import passes
from headstock.kits.pretrained import checkpoint_gradients, loading_call, quiet
from headstock_speech.backbones.base import SpeechBackbone, SpeechConfig, samples_of, within
from headstock_speech.backbones.hub_models import WITH_DECODER
from headstock_speech.backbones.seq2seq.cross_attention import mask_cross_attention, set_heard
from headstock_speech.backbones.seq2seq.loading import Loaded, load_speech_seq2seq
from headstock_speech.backbones.seq2seq.prompt import Prompt, language_name
from headstock_speech.backbones.seq2seq.windows import Windows, cut_at_silence, join_windows, split_windows

HEARD_FOR_LANGUAGE = 5
"""Recordings of which the language is detected."""
SEARCHED_AT_ONCE = 32
"""Windows that are decoded together."""


class SpeechSeq2SeqConfig(SpeechConfig):
    """Options of the ``speech-seq2seq`` backbone."""

    model: str = Field(min_length=1, description="Hub id (such as openai/whisper-base) or folder")
    revision: str | None = Field(None, min_length=1, description="branch, tag or commit on the Hub")
    max_seconds: float = Field(
        3600.0, gt=0, le=86_400, description="longest recording that can be used; longer ones are bad examples"
    )
    window_seconds: float = Field(
        30.0,
        ge=1,
        le=600,
        description="seconds that the model hears at once, at most what it can; longer recordings are cut at silence",
    )
    silence_seconds: float = Field(
        30.0, ge=0, le=30, description="silence that Whisper hears behind each clip; 30: as in its pretraining"
    )
    language: str | None = Field(
        None,
        min_length=1,
        description="language of the recordings for a multilingual Whisper, by code or English name; by default what "
        "it hears in the training recordings",
    )
    task: Literal["transcribe", "translate"] = Field(
        "transcribe", description="what a multilingual Whisper does: write what was said, or translate it to English"
    )
    beams: int = Field(1, ge=1, le=32, description="hypotheses kept while a transcript is searched for; 1 is greedy")
    max_tokens: int | None = Field(
        None, ge=1, le=65_536, description="tokens of a transcript at most; by default what the model can write"
    )
    freeze_encoder: bool = Field(
        False, description="leave the encoder as it is under every adapter, and keep what it makes of the data on disk"
    )


@dataclass
class EncoderStates(BaseModelOutput):
    """States as an encoder of transformers returns them; Moonshine's decoder asks for a mask beside."""

    attention_mask: Tensor | None = None


class SpeechSeq2Seq(SpeechBackbone):
    """The encoder gives the features; a task that writes transcripts uses the decoder, with the model's own tokens.

    ``body`` is the whole model, so that adapters act on the decoder too and ``AutoModelForSpeechSeq2Seq`` loads the
    result. A preprocessed example also has ``windows``, int64 (N,): the samples of each window of a recording that is
    longer than the model can hear at once. A batch has the windows of all its recordings as rows, and ``windows``
    (B, N), 0 where a recording has no more; its features are those of its windows, one after the other.

    Attributes:
        window: Samples of a window at most.
    """

    Config = SpeechSeq2SeqConfig
    config: SpeechSeq2SeqConfig

    def __init__(self, config: SpeechSeq2SeqConfig, loaded: Loaded, heard: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(config)
        self.source = config.model
        self.body = loaded.model
        self.tokenizer = loaded.tokenizer
        self.family = loaded.family
        self.feature_dim = self.family.feature_dim
        self.sampling_rate = self.family.sampling_rate
        self.max_seconds = config.max_seconds
        window = round(config.window_seconds * self.sampling_rate)
        self.window = window if self.family.longest is None else min(window, self.family.longest)
        self._frame_milliseconds = round(1000 * self.window / self.sampling_rate / max(self.frames(self.window), 1))
        self._prompt = Prompt(config.model, loaded.model, loaded.tokenizer, config.language, config.task)
        self._heard = tuple(heard)
        mask_cross_attention(loaded.model.get_decoder())

    @classmethod
    def usual_values(cls, option: str, task: str) -> Mapping[str, Sequence[str]]:
        """Return models that are usual for the task, by language."""
        del task
        return WITH_DECODER if option == "model" else {}

    @classmethod
    def create(cls, config: SpeechSeq2SeqConfig, inputs: Iterable[Mapping[str, Any]]) -> Self:
        """Load the pretrained model from the Hub or a folder; the first recordings are kept to detect the language."""
        loaded = load_speech_seq2seq(config.model, config.revision, config.silence_seconds)
        return cls(config, loaded, list(islice(inputs, HEARD_FOR_LANGUAGE)))

    @classmethod
    def load(cls, config: SpeechSeq2SeqConfig, directory: Path) -> Self:
        """Load what :meth:`save` wrote."""
        return cls(config, load_speech_seq2seq(str(directory), None, config.silence_seconds))

    def save(self, directory: Path) -> None:
        """Write model, feature extractor and tokenizer so that transformers loads them and writes the same text."""
        settings = self.model.generation_config
        settings._from_model_config = False  # else transformers would write those of the configuration instead
        self._prompt.write(settings)
        settings.num_beams = self.config.beams
        if self.config.max_tokens is not None:
            settings.max_new_tokens = self.max_target_tokens
        self.family.save(self.body, directory)
        with quiet():
            self.tokenizer.save_pretrained(directory)

    def loading_expression(self, place: str) -> str:
        """Return the call of transformers that loads the model."""
        return loading_call(self.family.loader, place, self.config)

    @classmethod
    def trainer_defaults(cls, config: SpeechSeq2SeqConfig, facts: TrainingFacts) -> Mapping[str, Any]:
        """Return what suits the tuning of a model that transcribes already: small steps, few passes.

        Measured on Whisper-base: with 1e-5 a few sentences in another spelling cost it words that it had right.
        """
        del config
        few = passes(facts, steps=60, batch_size=16, least=2, most=5)
        return {"learning_rate": 3e-6, "warmup_ratio": 0.1, **few}

    @property
    def model(self) -> Any:
        """The model itself, also when an adapter has wrapped it."""
        wrapped: Any = self.body
        return wrapped.get_base_model() if hasattr(wrapped, "get_base_model") else wrapped

    def encoder_parts(self) -> Sequence[nn.Module]:
        """Return the encoder, and what makes its input."""
        return (self.family, self.model.get_encoder())

    def fixed_parts(self) -> Sequence[nn.Module]:
        """Return the encoder where the option says so, else what the model's family never trains."""
        return self.encoder_parts() if self.config.freeze_encoder else self.family.fixed_parts(self.model)

    def enable_gradient_checkpointing(self) -> None:
        """Compute the layers of the model again in the backward pass."""
        checkpoint_gradients(self.model)

    # Inputs

    def frames(self, samples: int) -> int:
        """Return the number of vectors that the encoder makes of a window."""
        return self.family.frames(samples)

    def framing(self) -> Mapping[str, Any]:
        """Return what the number of vectors depends on."""
        return {**self.family.framing(), "window_samples": self.window}

    def preprocess(self, inputs: Mapping[str, Any]) -> Example:
        """Return ``waveform``, ``frames`` of all windows together, and ``windows``.

        Raises:
            BadExampleError: the audio cannot be read, or is too short or too long.
        """
        waveform, _ = self.waveform(inputs)
        windows = cut_at_silence(waveform.numpy(), self.sampling_rate, self.window)
        frames = sum(map(self.frames, windows))
        return {"waveform": waveform, "frames": torch.tensor(frames), "windows": torch.tensor(windows)}

    def collate(self, examples: Sequence[Example]) -> dict[str, Tensor]:
        """Return ``waveform`` int16 (W, T) and ``lengths`` (W,) of all windows, ``frames`` (B,), ``windows`` (B, N)."""
        pieces = [
            piece for example in examples for piece in torch.split(example["waveform"], example["windows"].tolist())
        ]
        return {
            "waveform": pad_stack(pieces, 0),
            "lengths": torch.tensor([len(piece) for piece in pieces]),
            "frames": torch.stack([example["frames"] for example in examples]),
            "windows": pad_stack([example["windows"] for example in examples], 0),
        }

    def cost(self, example: Example) -> int:
        """Return the milliseconds that the model hears, those of the silence behind each window with them."""
        return max(int(example["frames"]) * self._frame_milliseconds, 1)

    # Features

    def embed(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return what the encoder takes, a row for each window: a log-mel spectrogram (W, bands, T) for Whisper."""
        return self.family.embed(samples_of(inputs), inputs["lengths"])

    def encode(self, embedded: Tensor, inputs: dict[str, Tensor]) -> Features:
        """Return the encoder's last hidden states and their mean."""
        frames = self._window_frames(inputs)
        size = self.frames(inputs["waveform"].shape[1])
        sequence = self.family.encode(self.body, embedded, inputs["lengths"])[:, :size]
        if frames is None:
            joined = Windows(sequence, within(inputs["frames"], size))
        else:
            lengths = torch.tensor([length for each in frames for length in each], device=sequence.device)
            joined = join_windows(Windows(sequence, within(lengths, size)), [len(each) for each in frames])
        weights = joined.mask.to(joined.sequence.dtype).unsqueeze(2)
        pooled = (joined.sequence * weights).sum(dim=1) / weights.sum(dim=1)
        return Features(joined.sequence, joined.mask, pooled)

    def _window_frames(self, inputs: dict[str, Tensor]) -> list[list[int]] | None:
        """Return the frames of each window of each recording; ``None`` where all have one window."""
        if inputs["windows"].shape[1] == 1:
            return None
        return [[self.frames(length) for length in row if length] for row in inputs["windows"].tolist()]

    # Transcripts

    @property
    def language(self) -> str | None:
        """Code of the language that is transcribed."""
        return self._prompt.language

    @property
    def written_language(self) -> str | None:
        """Code of the language that transcripts are in."""
        return "en" if self.config.task == "translate" else self.language

    @property
    def max_target_tokens(self) -> int:
        """Tokens of a transcript at most, the end mark with them."""
        config = self.model.config
        positions = getattr(config, "max_target_positions", None) or config.max_position_embeddings
        most = int(positions) - (4 if self._prompt.languages else len(self._prompt.ids()))
        return most if self.config.max_tokens is None else min(most, self.config.max_tokens)

    def settle_language(self, known: str | None) -> None:
        """Choose the language: the option, else the known one, else what the first training recordings sound like."""
        prompt, heard, self._heard = self._prompt, self._heard, ()
        if prompt.languages and prompt.language is None:
            prompt.language = known or self._detected(heard)

    @torch.no_grad()
    def _detected(self, recordings: Sequence[Mapping[str, Any]]) -> str | None:
        """Return the language that is most probable over some recordings, and say so."""
        examples = []
        for inputs in recordings:
            try:
                examples.append(self.preprocess(inputs))
            except BadExampleError:
                continue  # said of later, or left out
        if not examples:
            return None
        codes = list(self._prompt.languages)
        marks = torch.tensor([self._prompt.languages[code] for code in codes])
        self.eval()
        found = []
        for example in examples:
            first = int(example["windows"][0])
            short = {"waveform": example["waveform"][:first], "frames": torch.tensor(self.frames(first))}
            features = self(self.collate([{**short, "windows": example["windows"][:1]}]))
            start = torch.tensor([[self._prompt.start]])
            found.append(self._decoder_logits(features, start)[0, -1, marks].softmax(dim=0))
        probabilities = torch.stack(found).mean(dim=0)
        best = int(probabilities.argmax())
        code = codes[best]
        note(
            f"language detected: {language_name(code)} ({code}), with probability {float(probabilities[best]):.2f}; "
            "all is transcribed as that (backbone.language sets another); training recordings listened to",
            len(examples),
        )
        return code

    def target_ids(self, text: str) -> list[int]:
        """Return the token ids of a transcript, the end mark last; Whisper begins words with a space."""
        spaced = self.model.config.model_type == "whisper" and not (scripts_of(text[:1]).keys() & UNSPACED)
        written = f" {text}" if spaced and text else text
        ids = self.tokenizer(written, add_special_tokens=False)["input_ids"]
        return [*ids, self.tokenizer.eos_token_id]

    def target_text(self, ids: list[int]) -> str:
        """Return the text of token ids."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def teacher_forcing(self, targets: Tensor, features: Features) -> Tensor:
        """Return logits (B, L, V) of each next token, given the prompt and the true ones before it."""
        # Filled on the device, for a copy from the host could not be captured in a CUDA graph.
        prompt = [targets.new_full((len(targets), 1), token) for token in self._prompt.ids()]
        known = targets.masked_fill(targets < 0, self.tokenizer.eos_token_id)
        logits = self._decoder_logits(features, torch.cat((*prompt, known[:, :-1]), dim=1))
        return logits[:, len(prompt) - 1 :]

    def _decoder_logits(self, features: Features, ids: Tensor) -> Tensor:
        self._hear(features.mask)
        states = EncoderStates(last_hidden_state=features.sequence)
        logits: Tensor = self.model(encoder_outputs=states, decoder_input_ids=ids, use_cache=False).logits
        return logits

    def _hear(self, mask: Tensor) -> None:
        set_heard(self.model.get_decoder(), mask)

    @torch.no_grad()
    def generate(self, features: Features, inputs: dict[str, Tensor]) -> Tensor:
        """Return the best token ids that the model's own search finds for each window, (B, N, L), padded."""
        frames = self._window_frames(inputs) or [[int(features.mask.shape[1])]] * len(features.mask)
        windows = split_windows(Windows(features.sequence, features.mask), frames)
        parts = [
            tokens
            for start in range(0, len(windows.mask), SEARCHED_AT_ONCE)
            for tokens in self._search(*(each[start : start + SEARCHED_AT_ONCE] for each in windows))
        ]
        padding = self.tokenizer.eos_token_id
        grouped, row = [], 0
        for each in frames:
            grouped.append(pad_stack(parts[row : row + len(each)], padding))
            row += len(each)
        return pad_stack(grouped, padding)

    def _search(self, sequence: Tensor, mask: Tensor) -> Tensor:
        """Return tokens (W, L) of windows, by the settings that the model brings."""
        settings = copy.deepcopy(self.model.generation_config)
        settings.num_beams, settings.do_sample = self.config.beams, False
        settings.max_length, settings.max_new_tokens = None, self.max_target_tokens
        prompt = torch.tensor(self._prompt.ids(), device=sequence.device).expand(len(sequence), -1)
        self._hear(mask)
        with quiet():
            # Not Whisper's own, which only takes spectrograms of 30 s.
            tokens: Any = GenerationMixin.generate(
                self.model,
                encoder_outputs=EncoderStates(last_hidden_state=sequence),
                decoder_input_ids=prompt,
                generation_config=settings,
            )
        found: Tensor = tokens[:, prompt.shape[1] :]
        return found
