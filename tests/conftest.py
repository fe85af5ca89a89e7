"""What tests of all packages share: real data if there is any, the command line, plugins made up for one test."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several workers with several threads each would wait for each other; torch reads this when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what is to run in the background, and tests that interrupt something would wait for ever.
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED_DATA = REPOSITORY.parent / "shared" / "data"


WHISPER = {"layers": 1, "attention_heads": 2, "ffn_dim": 24}
"""Sizes of each side of a tiny Whisper."""


class Cli(Protocol):
    def __call__(
        self, *args: str, pythonpath: Sequence[Path] = (), env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]: ...


class Forked(Protocol):
    def __call__(
        self, folder: Path, *args: str, pythonpath: Sequence[Path] = (), input: str = "", timeout: int = 300
    ) -> subprocess.CompletedProcess[str]: ...


CommandEnv = Callable[..., dict[str, str]]
Torchrun = Callable[..., subprocess.CompletedProcess[str]]


class FakeSite:
    """A folder with installed distributions, as pip leaves them, so that entry points are really discovered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        distribution: str,
        source: str | None = None,
        *,
        entries: Sequence[Mapping[str, Any]] = (),
        plugin: str | None = None,
        version: str = "1.0",
        value: str | None = None,
        metadata: bool = True,
    ) -> str:
        """Install a distribution with one plugin and return the plugin's module name.

        ``source`` is the plugin module's code; without it the code returns ``entries`` from the hook.
        """
        module = distribution.replace("-", "_")
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir(parents=True)
        if metadata:
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[headstock]\n{plugin or distribution} = {value or module}\n")
        self.module(module, source if source is not None else plugin_source(entries))
        return module

    def module(self, name: str, source: str) -> None:
        """Write a module beside the distributions."""
        (self.folder / f"{name}.py").write_text(source, encoding="utf-8")


def plugin_source(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the code of a plugin module that returns these entries; what an entry leaves out is filled in."""
    defaults = {"kind": "task", "target": "nowhere:Nothing", "summary": "made up for a test", "api_version": 1}
    calls = ", ".join(f"Entry(**{ ({**defaults, **entry})!r})" for entry in entries)
    return (
        "from headstock_registry import Entry, hookimpl\n\n\n"
        f"@hookimpl\ndef headstock_entries():\n    return [{calls}]\n"
    )


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests cache away from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTOCK_CACHE", str(tmp_path_factory.mktemp("headstock-cache")))
        yield


@pytest.fixture(autouse=True, scope="module")
def _frozen() -> None:
    """Keep what is imported out of garbage collections, which would walk over all of it before each training."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with real data sets and weights, which not every machine has."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the real data sets in ../shared/data")
    return SHARED_DATA


@pytest.fixture
def fake_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSite]:
    """Folder on this process's import path in which a test installs made-up plugins."""
    site = FakeSite(tmp_path / "fake-site")
    site.folder.mkdir()
    monkeypatch.syspath_prepend(str(site.folder))
    before = set(sys.modules)
    yield site
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(site.folder)):
            del sys.modules[name]


@pytest.fixture(scope="session")
def command_env() -> CommandEnv:
    """Environment in which tests run commands; the folders given are importable before everything else."""

    def environment(pythonpath: Sequence[Path] = ()) -> dict[str, str]:
        inherited = [str(Path(part).resolve()) for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*map(str, pythonpath), *inherited]),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "2"),
        }

    return environment


@pytest.fixture
def cli(tmp_path: Path, command_env: CommandEnv) -> Cli:
    """Run ``headstock`` in a process of its own, offline, in an empty folder."""

    def run(
        *args: str, pythonpath: Sequence[Path] = (), env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "headstock", *args],
            env={**command_env(pythonpath), **(env or {})},
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory, command_env: CommandEnv) -> Iterator[Forked]:
    """Run ``headstock`` as ``cli`` does, but for the start: torch and its company are imported once for all commands.

    For what a command does. Use ``cli`` where it matters how a process starts and ends, and for what needs no torch.
    """
    files = tmp_path_factory.mktemp("forked")
    names = {name: str(files / name) for name in ("stdin", "stdout", "stderr")}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("forking.py"))],
        env={**command_env(), "OPENBLAS_NUM_THREADS": "1"},  # more would be started on import
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(
        folder: Path, *args: str, pythonpath: Sequence[Path] = (), input: str = "", timeout: int = 300
    ) -> subprocess.CompletedProcess[str]:
        assert process.stdin is not None
        assert process.stdout is not None
        for name, path in names.items():
            Path(path).write_text(input if name == "stdin" else "", "utf-8")
        asked = {"arguments": args, "folder": str(folder), "env": command_env(pythonpath), "timeout": timeout, **names}
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        assert answer, f"tests/forking.py has ended with {process.wait()}"
        if int(answer) == -signal.SIGALRM:
            raise subprocess.TimeoutExpired(args, timeout)
        output, errors = (Path(names[name]).read_text("utf-8") for name in ("stdout", "stderr"))
        return subprocess.CompletedProcess(args, int(answer), output, errors)

    yield run
    process.communicate()


@pytest.fixture(scope="session")
def torchrun(command_env: CommandEnv) -> Torchrun:
    """Run a program in two processes, as a user would."""

    def run(folder: Path, *program: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *program]
        return subprocess.run(
            command,
            cwd=folder,
            env={**command_env(), "OMP_NUM_THREADS": "1", **(env or {})},
            capture_output=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a whole Whisper of random weights, as the Hub has it: three languages, windows of four seconds."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperTokenizer

    folder = tmp_path_factory.mktemp("tiny-whisper")
    bytes_of_text = sorted(pre_tokenizers.ByteLevel.alphabet())
    end, *marks = [
        f"<|{name}|>"
        for name in ("endoftext", "startoftranscript", "en", "zh", "de", "translate", "transcribe", "notimestamps")
    ]
    tokenizer = WhisperTokenizer(vocab={text: number for number, text in enumerate([*bytes_of_text, end])}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.save_pretrained(folder)
    ids = dict(zip([end, *marks], tokenizer.convert_tokens_to_ids([end, *marks]), strict=True))
    sizes = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in WHISPER.items()}
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        **sizes,
        num_mel_bins=20,
        max_source_positions=200,
        max_target_positions=40,
        pad_token_id=ids[end],
        bos_token_id=ids[end],
        eos_token_id=ids[end],
        decoder_start_token_id=ids["<|startoftranscript|>"],
        begin_suppress_tokens=None,
        init_std=0.4,  # large, so that what is written follows what is heard
    )
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(config)
    settings = model.generation_config
    settings._from_model_config = False
    settings.is_multilingual = True
    settings.lang_to_id = {mark: ids[mark] for mark in ("<|en|>", "<|zh|>", "<|de|>")}
    settings.task_to_id = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")}
    settings.no_timestamps_token_id = ids["<|notimestamps|>"]
    settings.max_length = 40
    settings.suppress_tokens = [number for number in range(len(tokenizer)) if number > 94 and number != ids[end]]
    settings.begin_suppress_tokens = [ids[end]]
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=20, chunk_length=4).save_pretrained(folder)
    return folder
