"""Hundreds of values that nobody expects, in one process: one line and exit code 2, or the value is legal.

No command here trains, so whatever it says, the working folder is to be as it was before.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
import pyarrow.parquet as pq  # type: ignore[import-untyped,unused-ignore]
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headstock.cli.main import cli as command

SECONDS = 30
"""What a command may take before it counts as hanging; the slowest takes a second on a quiet machine."""

ROWS = [(f"great fun {number}", "good") if number % 2 else (f"very dull {number}", "bad") for number in range(16)]

# fmt: off
TEXTS = [
    "", " ", "a\0b", "\x1b[31mred\x1b[0m", "two\nlines", "\r", "\u2028", "\u202eright to left", "\ud800",
    "\udcff.csv", "~nobody-of-that-name/a.csv", "~", "n" * 300, "n" * 300 + ".csv", "/" + "n/" * 3000,
    "../" * 50 + "etc/passwd", ".", "/", "/dev/zero", "/dev/null", "/proc/self/mem", "pipe", "loop", "folder", "-1",
    "0", "3.0", "1.5", "010", "0x10", "1_000", "1:30:00", "2024-02-30", "1e400", "-0.0", "1e-400", "nan", "inf",
    "-.inf", "9" * 5000, "1000000000000", str(2**63), str(2**64), "no", "on", "true", "null", "~null", "[", "[]",
    "{}", "[1, 2", "{a: 1, a: 2}", "{text: {text: {text: x}}}", "[" * 2000, "[" * 40 + "]" * 40, "&a [*a]",
    "{a: &a [x, x, x], b: &b [*a, *a, *a], c: [*b, *b]}", "[!!python/object/apply:os.system [ls]]", "[!!int abc]",
    "[2024-02-30]", "{<<: 1}", "{? [a] : b}", "$\\foo$", "<script>", "a|b", "%s%n{0}", "$(ls)", "=",
]
# fmt: on
VALUES = st.one_of(st.sampled_from(TEXTS), st.text(max_size=12))
OPTIONS = [
    *(f"trainer.{name}" for name in ("epochs", "max_steps", "batch_size", "batch_cost", "gradient_accumulation_steps")),
    *(f"trainer.{name}" for name in ("learning_rate", "warmup_ratio", "max_grad_norm", "patience", "log_every")),
    *(f"trainer.{name}" for name in ("schedule", "precision", "compile", "device", "metric", "evaluate_every")),
    *(f"data.{name}" for name in ("path", "train", "test", "format", "columns", "columns.text", "limit", "split_seed")),
    *(f"data.{name}" for name in ("validation_fraction", "test_fraction", "on_bad_example", "splits", "name", "hub")),
    *(f"task.{name}" for name in ("name", "dropout", "label_smoothing", "multi_label", "label_separator")),
    *(f"backbone.{name}" for name in ("name", "embedding_dim", "widths", "filters", "max_length", "unit", "min_count")),
    *("task", "backbone", "adapter", "adapter.r", "data", "trainer", "seed", "seed.x", "epochs", "path", "zzz", ""),
]

PLAIN = st.one_of(
    VALUES,
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**400]),
    st.floats(),
)
TREES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | VALUES, inner, max_size=3)
)


def hostile(examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture(scope="module")
def run_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, and beside it one that was stopped before its first step."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "reviews.csv").write_text(table(ROWS), "utf-8")
    data = f"path={folder / 'reviews.csv'}"
    options = [
        "run",
        "text-classification",
        "backbone=textcnn",
        data,
        "max_steps=2",
        "batch_size=4",
        "checkpoint_every=1",
        "--quiet",
    ]
    assert CliRunner().invoke(command, [*options, "--out", str(folder / "run")]).exit_code == 0

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstock.engine.session.save_model", stopped)
        assert CliRunner().invoke(command, [*options, "--out", str(folder / "stopped")]).exit_code == 130
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a few things in it that are no files to read."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    os.mkfifo("pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "folder").mkdir()
    (folder / "reviews.csv").write_text(table(ROWS), "utf-8")
    return folder


def table(rows: list[tuple[str, str]]) -> str:
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


@contextmanager
def soon() -> Iterator[None]:
    def too_long(*_: object) -> None:
        raise TimeoutError(f"a command hangs: more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def content(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, and what regular files hold; what a lock leaves is no content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def refused_or_legal(*arguments: str, folder: Path, text: bytes = b"") -> int:
    before = content(folder)
    with soon():
        result = CliRunner().invoke(command, arguments, input=text)
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    assert result.exit_code in (0, 2), result.output
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        lines = result.stderr.splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("error: "), result.stderr
        assert "\x1b" not in lines[0]
        assert len(lines[0]) < 1500
    assert content(folder) == before
    return result.exit_code


DRY = ("run", "text-classification", "backbone=textcnn", "--dry-run", "--quiet")


@hostile(150)
@given(key=st.sampled_from(OPTIONS), value=VALUES)
def test_overrides(work: Path, key: str, value: str) -> None:
    source = [] if key in ("data.hub", "data.path", "path", "data.train", "data") else ["path=reviews.csv"]
    refused_or_legal(*DRY, *source, f"{key}={value}", folder=work)


@hostile(40)
@given(arguments=st.lists(VALUES.filter(lambda text: not text.startswith("-")), min_size=1, max_size=2))
def test_arguments(work: Path, arguments: list[str]) -> None:
    refused_or_legal("run", *arguments, "--dry-run", "--quiet", folder=work)


@hostile(80)
@given(key=st.sampled_from(OPTIONS).filter(lambda key: key not in ("path", "data.hub", "epochs", "")), value=TREES)
def test_recipes_by_value(work: Path, key: str, value: Any) -> None:
    names = {"task": {"name": "text-classification"}, "backbone": {"name": "textcnn"}}
    recipe: dict[str, Any] = {**names, "data": {"path": "reviews.csv"}}
    *sections, last = key.split(".")
    inner = recipe
    for section in sections:
        inner = inner.setdefault(section, {})
        if not isinstance(inner, dict):
            return
    inner[last] = value
    try:
        text = yaml.safe_dump(recipe, allow_unicode=True)
        Path("recipe.yaml").write_text(text, "utf-8")
    except (UnicodeEncodeError, ValueError):  # what YAML cannot say; the next test writes it by hand
        text = json.dumps(recipe, default=str) if last != "seed" else "seed: \\ud800"
        Path("recipe.yaml").write_text(text, "utf-8")
    refused_or_legal("run", "recipe.yaml", "--dry-run", "--quiet", folder=work)


RECIPE = b"task: text-classification\nbackbone: textcnn\ndata: {path: reviews.csv}\ntrainer: {epochs: 2}\n"
PIECES = st.sampled_from(
    [text.encode("utf-8", "surrogatepass") for text in TEXTS]
    + [
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\0",
        b"\x85",
        b"\t",
        b"---\n",
        b"%YAML 3.0\n---\n",
        b"!!set {a}",
        b"&a",
        b"*a",
        b"? ",
    ]
    + [b"\ntask: again", b"\ntrainer:\n  epochs: 1:30:00", b"\nseed: 1\nseed: 2", b'\n"\\ud800": 1', b"- " * 3000]
    + [f"\na{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]".encode() for n in range(1, 3)]
)


@st.composite
def damaged(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes with a piece put in, taken out, turned around or written in another encoding."""
    start = draw(st.integers(0, len(original)))
    end = draw(st.integers(start, len(original)))
    match draw(st.sampled_from(["insert", "replace", "cut", "flip", "encode", "nothing"])):
        case "insert":
            return original[:start] + draw(PIECES) + original[start:]
        case "replace":
            return original[:start] + draw(PIECES) + original[end:]
        case "cut":
            return original[:start]
        case "flip":
            return (
                original[:start] + bytes([original[start] ^ draw(st.integers(1, 255))]) + original[start + 1 :]
                if (start < len(original))
                else original
            )
        case "encode":
            encoding = draw(st.sampled_from(["utf-16", "utf-8-sig", "utf-32", "utf-16-le"]))
            return original.decode("latin-1").encode(encoding)
        case _:
            return draw(st.binary(max_size=40))


@hostile(100)
@given(text=damaged(RECIPE))
def test_recipes_by_byte(work: Path, text: bytes) -> None:
    Path("recipe.yaml").write_bytes(text)
    refused_or_legal("run", "recipe.yaml", "--dry-run", "--quiet", folder=work)


@hostile(60)
@given(path=st.sampled_from(TEXTS), use=st.integers(0, 7))
def test_paths(work: Path, run_files: Path, path: str, use: int) -> None:
    run = str(run_files / "run")
    if use == 7:
        with pytest.MonkeyPatch.context() as patch:
            if "\0" not in path and path.isascii():
                patch.setenv("HEADSTOCK_CACHE", path)
                # An empty variable is none, and what can be written is used.
                if path.strip() and path not in (".", "/", "~", "folder", "~null") and "/dev" not in path:
                    return
            refused_or_legal(*DRY, "path=reviews.csv", "--out", path, folder=work)
        return
    arguments = {
        0: ("predict", path, "fine"),
        1: ("predict", run, "--data", path),
        2: ("predict", run, path),
        3: ("evaluate", run, "--data", path),
        4: (*DRY, "path=reviews.csv", "backbone=transformers", f"model={path}"),
        5: ("bench", f"{path}.yaml"),
        6: ("run", path, "--resume", "--quiet"),
    }[use]
    refused_or_legal(*arguments, folder=work)


def parquet(rows: list[tuple[str, str]]) -> bytes:
    sink = pa.BufferOutputStream()
    texts, labels = zip(*rows, strict=True)
    pq.write_table(pa.table({"text": texts, "label": labels}), sink)
    return bytes(sink.getvalue().to_pybytes())


RECORDS = [{"text": text, "label": label} for text, label in ROWS]
TABLES = {
    "csv": table(ROWS).encode(),
    "tsv": table(ROWS).replace(",", "\t").encode(),
    "json": json.dumps(RECORDS, indent=0).encode(),
    "jsonl": "\n".join(map(json.dumps, RECORDS)).encode(),
    "parquet": parquet(ROWS),
}


@hostile(100)
@given(data=st.data(), ending=st.sampled_from(sorted(TABLES)))
def test_tables(work: Path, data: st.DataObject, ending: str) -> None:
    path = work / f"table.{ending}"
    path.write_bytes(data.draw(damaged(TABLES[ending])))
    refused_or_legal(*DRY, f"path={path.name}", folder=work)
    path.unlink()


@hostile(60)
@given(text=TREES, label=TREES, how=st.sampled_from(["error", "skip"]))
def test_cells_and_labels(work: Path, text: Any, label: Any, how: str) -> None:
    rows = [*RECORDS, *({"text": text if number else "fine", "label": label} for number in range(2))]
    (work / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    refused_or_legal(*DRY, "path=rows.jsonl", f"on_bad_example={how}", folder=work)


@hostile(30)
@given(
    line=st.one_of(PIECES, TREES.map(lambda value: json.dumps({"text": value}).encode()), damaged(b'{"text": "fine"}'))
)
def test_standard_input(work: Path, run_files: Path, line: bytes) -> None:
    refused_or_legal("predict", str(run_files / "run"), folder=work, text=line)


FINISHED = ["recipe.yaml", "results.json", "model/model.json", "model/head.safetensors"]
STOPPED = ["recipe.yaml", "data.json", "before.json", "environment.json"]


@hostile(60)
@given(data=st.data(), name=st.sampled_from(FINISHED))
def test_files_of_a_finished_run(work: Path, run_files: Path, data: st.DataObject, name: str) -> None:
    shutil.copytree(run_files / "run", work / "run", dirs_exist_ok=True)
    path = work / "run" / name
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    refused_or_legal("predict", "run", "fine", folder=work)


@hostile(40)
@given(data=st.data(), name=st.sampled_from(STOPPED))
def test_files_of_a_stopped_run(work: Path, run_files: Path, data: st.DataObject, name: str) -> None:
    shutil.rmtree(work / "run", ignore_errors=True)
    shutil.copytree(run_files / "stopped", work / "run")
    path = work / "run" / name
    original = path.read_bytes()
    changed = data.draw(damaged(original))
    path.write_bytes(changed)
    with soon(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("headstock.engine.session.save_model", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        result = CliRunner().invoke(command, ["run", "run", "--resume", "--quiet"])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (2, 130), result.output
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr


CASE = b"{task: text-classification, backbone: textcnn, data: {limit: 40}}"
SUITE = b"name: mine\nsummary: what it is\nseeds: [0]\ncases:\n  one: " + CASE + b"\n"


@hostile(60)
@given(text=damaged(SUITE))
def test_suites(work: Path, text: bytes) -> None:
    path = work / "suite.yaml"
    path.write_bytes(text)
    refused_or_legal("bench", "suite.yaml", "--list", folder=work)


@hostile(30)
@given(data=st.data())
def test_files_of_the_cache(work: Path, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        cache = work.parent / "cache"
        patch.setenv("HEADSTOCK_CACHE", str(cache))
        assert refused_or_legal(*DRY, "path=reviews.csv", folder=work) == 0
        files = sorted(path for path in cache.rglob("*") if path.is_file() and path.stat().st_size)
        path = data.draw(st.sampled_from(files))
        path.write_bytes(data.draw(damaged(path.read_bytes())))
        assert refused_or_legal(*DRY, "path=reviews.csv", folder=work) == 0
