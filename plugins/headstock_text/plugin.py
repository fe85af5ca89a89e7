"""What this plugin brings."""

from __future__ import annotations

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return the text backbones and tasks."""
    return [
        _entry(
            "backbone",
            "transformers-text",
            "headstock_text.backbones.transformer:TransformerText",
            "any transformers encoder by Hub id or folder",
        ),
        _entry(
            "backbone",
            "minilm",
            "headstock_text.backbones.minilm:MiniLm",
            "MiniLM, a small English encoder, pretrained; comes with the installation",
        ),
        _entry(
            "backbone",
            "use-multilingual",
            "headstock_text.backbones.use.multilingual:UseMultilingual",
            "multilingual Universal Sentence Encoder, pretrained on 16 languages; comes with the installation",
        ),
        _entry(
            "backbone",
            "textcnn",
            "headstock_text.backbones.textcnn:TextCnn",
            "convolutions over words or characters, from scratch (Kim 2014)",
        ),
        _entry(
            "backbone",
            "bilstm",
            "headstock_text.backbones.bilstm:BiLstm",
            "bidirectional LSTM over words or characters, from scratch",
        ),
        _entry(
            "backbone",
            "seq2seq",
            "headstock_text.backbones.seq2seq:Seq2SeqText",
            "any transformers encoder-decoder with a fast tokenizer, by Hub id or folder (BART, T5)",
        ),
        _entry(
            "backbone",
            "subword-transformer",
            "headstock_text.backbones.subword_transformer:SubwordTransformer",
            "a small transformer encoder over subwords, from scratch",
        ),
        _entry(
            "task",
            "translation",
            "headstock_text.tasks.translation:Translation",
            "a text in another language, or in other words (beam search)",
        ),
        _entry(
            "task",
            "text-classification",
            "headstock_text.tasks.text_classification:TextClassification",
            "labels for a text or a pair of texts: topic, sentiment, entailment",
        ),
        _entry(
            "task",
            "token-classification",
            "headstock_text.tasks.token_classification:TokenClassification",
            "entities in a text, as tags of its words: names, dates, amounts",
        ),
    ]


def _entry(kind: str, name: str, target: str, summary: str) -> Entry:
    return Entry(kind=kind, name=name, target=target, summary=summary, modality="text", api_version=API_VERSION)
