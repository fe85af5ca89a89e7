import io

import pytest

from headstock import console
from headstock.console import Console


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = Console(quiet=True)
    quiet.line("hello")
    with quiet.bar("train", 3) as bar:
        bar.advance(3, 30, "loss 1.0")
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PLAIN_INTERVAL", 0.0)
    stream = io.StringIO()
    with Console(stream=stream).bar("train", 10, done=4) as bar:
        bar.advance(1, 8, "loss 0.5000")
        bar.advance(1, 8)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("train 5/10, loss 0.5000, ")
    assert lines[1].startswith("train 6/10, loss 0.5000, ")
    assert all("examples/s" in line and "left" in line for line in lines)
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
