from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from headstock.interfaces import BadExampleError
from headstock.interfaces.notes import noting
from headstock_speech import decode
from headstock_speech.decode import Audio, decode_audio


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_formats(sounds: SimpleNamespace, kind: str, tmp_path: Path) -> None:
    samples = sounds.tone(0.5)
    content = sounds.encoded(samples, kind=kind)
    path = tmp_path / "sound.file"
    path.write_bytes(content)
    for value in (content, path, str(path), {"path": None, "bytes": content}, {"path": str(path), "bytes": None}):
        audio = decode_audio(value)
        assert audio.rate == 16000
        assert audio.samples.dtype == np.float32
        assert len(audio.samples) == len(samples)
        tolerance = 1e-4 if kind in ("WAV", "FLAC") else 0.1
        np.testing.assert_allclose(audio.samples, samples, atol=tolerance)


def test_channels_are_averaged(sounds: SimpleNamespace) -> None:
    left, right = sounds.tone(0.1), sounds.tone(0.1, pitch=880, seed=1)
    audio = decode_audio(sounds.encoded(np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(audio.samples, (left + right) / 2, atol=1e-6)


def test_sixteen_bit_samples_come_through_exactly(sounds: SimpleNamespace) -> None:
    whole = np.arange(-32768, 32768, 7, dtype=np.int16)
    audio = decode_audio(sounds.encoded(whole, kind="FLAC"))
    np.testing.assert_array_equal(audio.samples * 32768, whole)


def test_an_array_as_it_is(sounds: SimpleNamespace) -> None:
    samples = sounds.tone(0.1)
    for array in (samples, samples.astype(np.float64), samples.tolist()):
        audio = decode_audio({"array": array, "sampling_rate": 8000, "path": None})
        assert audio.seconds == pytest.approx(0.2)
        np.testing.assert_array_equal(audio.samples, samples)


@pytest.mark.parametrize("rate", [8000, 11025, 16001, 22050, 44100, 48000])
def test_any_rate_becomes_another_with_pitch_and_length_kept(rate: int) -> None:
    time = np.arange(rate) / rate
    sound = Audio(np.sin(2 * np.pi * 1000 * time).astype(np.float32), rate, "sound").at(16000)
    assert sound.samples.dtype == np.float32
    assert len(sound.samples) == pytest.approx(16000, abs=1)
    spectrum = np.abs(np.fft.rfft(sound.samples[1000:-1000] * np.hanning(len(sound.samples) - 2000)))
    assert spectrum.argmax() / (len(sound.samples) - 2000) * 16000 == pytest.approx(1000, abs=2)
    assert np.abs(sound.samples[1000:-1000]).max() == pytest.approx(1.0, abs=0.02)


def test_pitch_above_the_new_rate_is_removed() -> None:
    time = np.arange(48000) / 48000
    sound = Audio(np.sin(2 * np.pi * 15000 * time).astype(np.float32), 48000, "sound").at(16000)
    assert np.abs(sound.samples[500:-500]).max() < 0.01


@pytest.mark.parametrize("cut", [20, 100, 20000])
def test_a_damaged_file_is_named(sounds: SimpleNamespace, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "damaged.flac"
    path.write_bytes(sounds.encoded(sounds.tone(1.0), kind="FLAC")[:cut])
    with pytest.raises(BadExampleError, match=r"damaged\.flac cannot be decoded as audio: \w") as caught:
        decode_audio({"path": str(path), "bytes": None})
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "letter.wav"
    path.write_text("Dear all,")
    with pytest.raises(BadExampleError, match=r"letter\.wav cannot be decoded"):
        decode_audio(path)


def test_a_missing_and_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(BadExampleError, match=r"cannot read .*gone\.wav"):
        decode_audio(tmp_path / "gone.wav")
    (tmp_path / "empty.wav").touch()
    with pytest.raises(BadExampleError, match=r"empty\.wav is empty"):
        decode_audio(tmp_path / "empty.wav")


def test_a_file_without_samples(sounds: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "nothing.wav"
    path.write_bytes(sounds.encoded(np.zeros(0, np.float32)))
    with pytest.raises(BadExampleError, match=r"nothing\.wav holds no samples"):
        decode_audio(path)


@pytest.mark.parametrize(
    ("array", "rate", "message"),
    [
        ([0.1, float("nan")], 8000, "not finite"),
        ([0.1, float("inf")], 8000, "not finite"),
        ([], 8000, "no samples"),
        (np.array([100, -3], np.int16), 8000, r"must be floats of shape \(T,\), from -1 to 1, not int16"),
        (np.array([100.0, -3000.0]), 8000, "the loudest is 3000"),
        (np.zeros((2, 9)), 8000, r"of shape \(2, 9\)"),
        ([[0.1], [0.1, 0.2]], 8000, "not a row of numbers"),
        ([0.1, 0.2], None, "sampling_rate, a whole number above 0, not None"),
        ([0.1, 0.2], 0, "not 0"),
        ([0.1, 0.2], 8000.0, "not 8000.0"),
        ([0.1, 0.2], 1, "has 1 samples a second, which no sound has"),
        ([0.1, 0.2], 2**31, "samples a second, which no sound has"),
    ],
)
def test_a_bad_array(array: object, rate: object, message: str) -> None:
    with pytest.raises(BadExampleError, match=message):
        decode_audio({"array": array, "sampling_rate": rate})


@pytest.mark.parametrize("value", [None, 3, [0.1], {"path": None, "bytes": None}])
def test_not_an_audio_value(value: object) -> None:
    with pytest.raises(BadExampleError, match="audio must be a path, bytes or a mapping"):
        decode_audio(value)


def test_a_header_is_not_believed(sounds: SimpleNamespace) -> None:
    content = bytearray(sounds.encoded(sounds.tone(0.1), kind="FLAC"))
    content[21] |= 0x0F  # the length in STREAMINFO, 36 bits: nearly 300 GB of samples
    content[22:26] = b"\xff" * 4
    with pytest.raises(BadExampleError, match="the audio cannot be decoded as audio"):
        decode_audio(bytes(content))


def test_a_rate_that_no_sound_has(sounds: SimpleNamespace) -> None:
    content = bytearray(sounds.encoded(sounds.tone(0.1)))
    for rate in (1, 2**31 - 1):
        content[24:28] = rate.to_bytes(4, "little")
        with pytest.raises(BadExampleError, match=f"has {rate} samples a second"):
            decode_audio(bytes(content))
    content[24:28] = bytes(4)
    with pytest.raises(BadExampleError, match="the audio "):
        decode_audio(bytes(content))


def test_days_of_silence_in_a_small_file_are_refused(sounds: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MOST_SAMPLES", 3000)
    monkeypatch.setattr(decode, "BLOCK", 1024)
    with pytest.raises(BadExampleError, match="more than 3,000 samples; cut it in pieces"):
        decode_audio(sounds.encoded(np.zeros(3001, np.float32), kind="FLAC"))
    stereo = np.stack([sounds.tone(0.1), -sounds.tone(0.1)], axis=1)
    assert len(decode_audio(sounds.encoded(stereo)).samples) == len(stereo)


@pytest.mark.parametrize(("kind", "share", "counted"), [("WAV", 0.5, 1), ("MP3", 0.5, 1), ("WAV", 1, 0), ("MP3", 1, 0)])
def test_a_recording_that_is_cut_off_is_counted(sounds: SimpleNamespace, kind: str, share: float, counted: int) -> None:
    content = sounds.encoded(sounds.tone(2), kind=kind)
    with noting() as notes:
        assert decode_audio(content[: int(len(content) * share)]).seconds > 0
    assert notes[decode.CUT_OFF] == counted


def test_a_streamed_wav_says_no_length(sounds: SimpleNamespace) -> None:
    content = bytearray(sounds.encoded(sounds.tone(0.1), kind="WAV"))
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    with noting() as notes:
        decode_audio(bytes(content))
    assert not notes


def test_an_empty_path_is_said() -> None:
    with pytest.raises(BadExampleError, match="the path of the file is empty"):
        decode_audio("")
