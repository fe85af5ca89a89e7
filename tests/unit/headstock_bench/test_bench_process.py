import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from headstock_bench.process import StoppedError, run_process

TELLS_SIGNAL = """
import pathlib, signal, sys, time
seen = []
signal.signal({number}, lambda number, frame: seen.append(number))
pathlib.Path(sys.argv[1]).touch()
while not seen:
    time.sleep(0.01)
time.sleep(0.2)
print("saved, signals:", len(seen))
"""


def test_ending_has_code_and_last_line(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    code = "import sys; print('fine so far'); print('error: no such thing\\n\\n', file=sys.stderr); sys.exit(2)"
    ending = run_process([sys.executable, "-u", "-c", code], log)
    assert (ending.code, ending.error) == (2, "no such thing")
    assert "fine so far" in log.read_text("utf-8")
    assert ending.seconds > 0


def test_killed_and_silent_endings_are_said_in_words(tmp_path: Path) -> None:
    killed = run_process([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], tmp_path / "a.log")
    assert killed.error == "killed by SIGKILL"
    silent = run_process([sys.executable, "-c", "import sys; sys.exit(3)"], tmp_path / "b.log")
    assert silent.error == "exit code 3 without a word"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_process_once_and_it_may_finish(tmp_path: Path, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    ready, log = tmp_path / "ready", tmp_path / "a.log"

    def interrupt() -> None:
        while not ready.exists():
            pass
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=interrupt)
    thread.start()
    command = [sys.executable, "-c", TELLS_SIGNAL.format(number=int(number)), str(ready)]
    with pytest.raises(StoppedError) as stop:
        run_process(command, log)
    thread.join()
    assert stop.value.exit_code == 128 + number
    assert log.read_text("utf-8") == "saved, signals: 1\n"
    assert signal.getsignal(number) is before


def test_file_descriptors_stay_open_in_the_process(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("wb") as stream:
        code = f"import os; os.fstat({stream.fileno()})"
        assert run_process([sys.executable, "-c", code], tmp_path / "a.log", [stream.fileno()]).code == 0
        assert run_process([sys.executable, "-c", code], tmp_path / "b.log").code == 1
