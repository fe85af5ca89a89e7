"""Quiet means quiet for every library."""

from __future__ import annotations

import io
import threading

import pytest
from huggingface_hub.utils import tqdm as hub_tqdm
from tqdm.auto import tqdm
from transformers.utils import logging as transformers_logging

from headstock.console import Console
from headstock.quiet import no_bars

BARS = [tqdm, hub_tqdm, transformers_logging.tqdm]


def drawn(kind: object) -> str:
    stream = io.StringIO()
    for _ in kind(range(3), file=stream, desc="shards", disable=False):  # type: ignore[operator]
        pass
    return stream.getvalue()


@pytest.mark.parametrize("kind", BARS)
def test_a_quiet_console_keeps_bars_of_libraries_away_and_puts_them_back(kind: object) -> None:
    assert "shards" in drawn(kind)
    with Console(quiet=True).current():
        assert drawn(kind) == ""
        with no_bars():
            assert drawn(kind) == ""
        assert drawn(kind) == ""
    assert "shards" in drawn(kind)
    with Console(stream=io.StringIO()).current():
        assert "shards" in drawn(kind)


def test_the_last_of_several_threads_puts_bars_back() -> None:
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with no_bars():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=other)
    with no_bars():
        thread.start()
        assert inside.wait(60)
    assert drawn(tqdm) == ""
    leave.set()
    thread.join()
    assert "shards" in drawn(tqdm)
