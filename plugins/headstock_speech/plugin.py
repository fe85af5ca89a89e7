"""What this plugin brings."""

from __future__ import annotations

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return the speech backbones and tasks."""
    return [
        _entry(
            "backbone",
            "transformers-speech",
            "headstock_speech.backbones.transformers_speech:TransformersSpeech",
            "wav2vec 2.0 and its kin, or Whisper's encoder, by Hub id or folder",
        ),
        _entry(
            "backbone",
            "speech-seq2seq",
            "headstock_speech.backbones.seq2seq.backbone:SpeechSeq2Seq",
            "Whisper, Moonshine or Speech2Text with its decoder, by Hub id or folder",
        ),
        _entry(
            "backbone",
            "crnn",
            "headstock_speech.backbones.crnn:Crnn",
            "convolutions and a bidirectional GRU on log-mel spectrograms, from scratch",
        ),
        _entry(
            "task",
            "audio-classification",
            "headstock_speech.tasks.audio_classification:AudioClassification",
            "a label for a recording: who speaks, which word, what sounds",
        ),
        _entry(
            "task",
            "automatic-speech-recognition",
            "headstock_speech.tasks.speech_recognition:SpeechRecognition",
            "what was said, by a decoder's tokens or letter by letter (CTC, Graves et al. 2006)",
        ),
    ]


def _entry(kind: str, name: str, target: str, summary: str) -> Entry:
    return Entry(kind=kind, name=name, target=target, summary=summary, modality="speech", api_version=API_VERSION)
