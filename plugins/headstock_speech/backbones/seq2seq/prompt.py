"""The tokens with which a decoder starts: what Whisper is told of language and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from headstock import HeadstockError

MULTILINGUAL_VOCABULARY = 51865
"""Whisper's multilingual checkpoints have so many tokens or more, those for English alone one less."""


class Prompt:
    """What stands before a transcript.

    Attributes:
        languages: Token of each language that the model can be told, by code; empty where there is no choice.
        language: Code of the language that is transcribed; ``None`` while it is not chosen, or where nothing is known
            of it.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, language: str | None, task: str) -> None:
        settings = model.generation_config
        self._task = task
        self._start = settings.decoder_start_token_id
        if self._start is None:
            self._start = settings.bos_token_id
        if self._start is None or tokenizer.eos_token_id is None:
            raise HeadstockError(f"'{name}' does not say with which token its decoder starts, or ends")
        self._forced = settings.forced_bos_token_id
        self._whisper = model.config.model_type == "whisper"
        self.languages: Mapping[str, int] = _languages(model, tokenizer) if self._whisper else {}
        self._tokenizer = tokenizer
        self.language: str | None = None
        if self._whisper and not self.languages:
            self.language = "en"
        if not self.languages and (language is not None or task != "transcribe"):
            raise HeadstockError(f"'{name}' is for one language; leave backbone.language and backbone.task out")
        if language is not None:
            self.language = self._code(name, language)

    def _code(self, name: str, language: str) -> str:
        """Return the code of a language that is given by code or English name."""
        wanted = language.strip().lower()
        code = TO_LANGUAGE_CODE.get(wanted, wanted)
        if code not in self.languages:
            known = ", ".join(f"{each} ({LANGUAGES.get(each, each)})" for each in sorted(self.languages))
            raise HeadstockError(f"'backbone.language': '{name}' knows no language '{language}'; it knows {known}")
        return code

    @property
    def start(self) -> int:
        """The very first token."""
        return int(self._start)

    def ids(self) -> list[int]:
        """Return the tokens before a transcript.

        Raises:
            HeadstockError: the language is to be chosen and has not been.
        """
        if not self._whisper:
            return [self.start, *([] if self._forced is None else [int(self._forced)])]
        silent = self._mark("<|notimestamps|>")
        if not self.languages:
            return [self.start, silent]
        if self.language is None:
            raise HeadstockError("the language of the recordings is not known; set backbone.language")
        return [self.start, self.languages[self.language], self._mark(f"<|{self._task}|>"), silent]

    def _mark(self, text: str) -> int:
        return int(self._tokenizer.convert_tokens_to_ids(text))

    def write(self, settings: Any) -> None:
        """Say language and task in a model's generation settings, so that transformers starts with the same tokens."""
        if self.languages and self.language is not None:
            settings.language, settings.task = self.language, self._task


def language_name(code: str) -> str:
    """Return the English name of a language."""
    return LANGUAGES.get(code, code).title()


def _languages(model: Any, tokenizer: Any) -> dict[str, int]:
    settings = model.generation_config
    multilingual = getattr(settings, "is_multilingual", None)
    if multilingual is None:
        multilingual = model.config.vocab_size >= MULTILINGUAL_VOCABULARY
    if not multilingual:
        return {}
    marks = getattr(settings, "lang_to_id", None)
    if marks:
        return {mark[2:-2]: int(index) for mark, index in marks.items()}
    vocabulary = tokenizer.get_vocab()
    return {code: vocabulary[f"<|{code}|>"] for code in LANGUAGES if f"<|{code}|>" in vocabulary}
