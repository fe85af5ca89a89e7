"""``headstock bench --ray``, with real clusters on this machine."""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(util.find_spec("ray") is None, reason="needs Ray, which is in the extra 'ray'"),
    pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks for processes and sockets in /proc"),
]

PLUGIN = """
import json, os, pathlib, signal, sys, threading, time
if sys.argv[1:2] == ["run"]:
    run = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
    case, here = run.parent.name, pathlib.Path(__file__).parent
    with open(here / "seen.jsonl", "a") as stream:
        seen = {"case": case, "gpu": os.environ.get("CUDA_VISIBLE_DEVICES"), "options": sys.argv[6:]}
        stream.write(json.dumps(seen) + chr(10))
    if case == "bad":
        os.write(2, b"error: bad luck")
        os._exit(2)
    if case == "waits":
        try:
            time.sleep(100)
        except KeyboardInterrupt:
            (here / "saved").touch()
            os._exit(130)
    if case == "killed" and not (here / "killed").exists():
        def kill():
            while not any(run.glob("checkpoints/step-*")):
                time.sleep(0.001)
            (here / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=kill, daemon=True).start()
from headstock_registry import hookimpl
@hookimpl
def headstock_entries():
    return []
"""
"""Is loaded by each cell: writes down what it sees there, and ends some before their time."""

LOCAL = {
    "OMP_NUM_THREADS": "1",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps the test's own cluster on the loopback address
    "RAY_USAGE_STATS_ENABLED": "0",
}

GOOD = {
    "task": "text-classification",
    "backbone": "textcnn",
    "data": {"limit": 40},
    "trainer": {"epochs": 9, "max_steps": 12, "batch_size": 8, "evaluate_every": 4},
}


class Site:
    """A folder with the plugin above and a suite, the environment that has the plugin, and what came of it."""

    def __init__(self, folder: Path, env: dict[str, str], cases: dict[str, Any]) -> None:
        self.folder, self.env = folder, env
        suite = {"name": "mine", "summary": "made up for a test", "cases": cases}
        (folder / "mine.yaml").write_text(yaml.safe_dump(suite, sort_keys=False), "utf-8")

    @property
    def records(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "benchmarks-results" / "mine" / "results.jsonl")

    @property
    def seen(self) -> list[dict[str, Any]]:
        return _lines(self.folder / "fake-site" / "seen.jsonl")

    def bench(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "headstock", "bench", "mine.yaml", *options]
        return subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, encoding="utf-8", timeout=600, check=False
        )


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


@pytest.fixture
def site(tmp_path: Path, fake_site: Any, command_env: Callable[..., dict[str, str]]) -> Callable[..., Site]:
    fake_site.add("ends-cells", PLUGIN)

    def make(**cases: Any) -> Site:
        return Site(tmp_path, {**command_env([fake_site.folder]), **LOCAL}, cases)

    return make


@pytest.fixture
def start_cluster() -> Iterator[Callable[[dict[str, str]], str]]:
    """Start a cluster of two workers, each with a GPU that is not there, and return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started: list[subprocess.Popen[bytes]] = []
    folders: list[str] = []

    def start(env: dict[str, str]) -> str:
        options = f"--head --block --port={port} --num-cpus=2 --num-gpus=2 --include-dashboard=false"
        # a folder of its own, so that no other program takes this cluster for the machine's
        folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        folders.append(folder)
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options.split(), f"--temp-dir={folder}"]
        started.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.wait(30)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def test_a_cell_that_fails_and_one_that_is_killed_leave_the_others_alone(
    site: Callable[..., Site], start_cluster: Callable[[dict[str, str]], str]
) -> None:
    mine = site(killed=GOOD, bad=GOOD, good=GOOD)
    address = start_cluster(mine.env)
    first = mine.bench("--ray", address, "--max-retries", "1")
    assert first.returncode == 1, first.stderr
    assert "1 machine, 2 runs at a time, each on 1 CPU and 1 GPU" in first.stderr
    assert "[2/3] bad seed 0: failed on " in first.stderr
    assert "bad luck; tried again (1 of 1)" in first.stderr
    assert "killed by SIGKILL; tried again (1 of 1)" in first.stderr
    assert "bad seed 0: bad luck" in first.stderr.splitlines()[-1]

    killed, bad, good = mine.records
    assert [record["case"] for record in mine.records] == ["killed", "bad", "good"]
    assert (bad["status"], bad["error"], bad["measurement"]) == ("failed", "bad luck", None)
    assert (killed["measurement"]["resumed"], good["measurement"]["resumed"]) == (True, False)
    assert killed["measurement"]["after"] == good["measurement"]["after"]
    assert killed["provenance"]["device"]
    cells = mine.folder / "benchmarks-results" / "mine" / "cells"
    assert (cells / "bad" / "seed-0.try-1.log").read_text("utf-8") == "error: bad luck"
    assert not (cells / "good" / "seed-0" / "model").exists()

    assert sorted(seen["case"] for seen in mine.seen) == ["bad", "bad", "good", "killed", "killed"]
    assert {seen["gpu"] for seen in mine.seen} <= {"0", "1"}
    assert [seen["options"] for seen in mine.seen if seen["case"] == "killed"] == [[], ["--resume"]]


def test_a_cluster_of_ones_own_is_on_the_loopback_address_and_ctrl_c_stops_all(
    site: Callable[..., Site], tmp_path: Path
) -> None:
    mine = site(waits=GOOD)
    bench = subprocess.Popen(
        [sys.executable, "-m", "headstock", "bench", "mine.yaml", "--ray"],
        env={name: value for name, value in mine.env.items() if not name.startswith("RAY_")},
        cwd=mine.folder,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        process_group=0,
    )
    limit = time.monotonic() + 100
    while not mine.seen and bench.poll() is None and time.monotonic() < limit:
        time.sleep(0.02)
    started = _descendants(bench.pid)
    listening = [address for pid in started for address in _listening(pid)]
    os.killpg(bench.pid, signal.SIGINT)  # as a terminal does
    _, stderr = bench.communicate(timeout=600)
    assert bench.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "error: stopped with 1 of 1 runs to go; the same command resumes it"
    assert (mine.folder / "fake-site" / "saved").exists()
    assert mine.records == []
    assert len(listening) > 2
    assert all(address.is_loopback for address in listening), listening
    assert not [pid for pid in started if _is_alive(pid)]


def _descendants(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task").glob("*/children")
    found = [int(pid) for path in children for pid in path.read_text().split()]
    return [*found, *(pid for child in found for pid in _descendants(child))]


def _listening(pid: int) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the addresses at which a process waits for connections (TCP)."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor) if descriptor.is_symlink() else ""
        if target.startswith("socket:["):
            sockets.add(target[8:-1])
    addresses = []
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in sockets:  # LISTEN
                addresses.append(_address(fields[1].split(":")[0]))
    return addresses


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    words = [int(digits[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
