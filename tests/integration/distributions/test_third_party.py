"""A task that somebody else publishes: built as a wheel, installed beside Headstock, listed and trained."""

from __future__ import annotations

import json
import shlex

import pytest

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "headstock-shouting"
version = "0.3.1"
dependencies = ["headstock"]

[project.entry-points.headstock]
shouting = "headstock_shouting"

[tool.hatch.build.targets.wheel]
packages = ["headstock_shouting"]
"""

PLUGIN = '''\
"""Tells shouted sentences from spoken ones."""

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries():
    """Return the one task."""
    return [
        Entry(
            kind="task",
            name="shouting",
            target="headstock_shouting.task:Shouting",
            summary="whether a sentence is shouted",
            modality="text",
            api_version=API_VERSION,
        )
    ]
'''

TASK = '''\
"""The task."""

from headstock import BadExampleError, Classification, Column

PEOPLE = ("anna", "bela", "chen", "dora", "emil", "fatima", "goran", "hana")
DEEDS = ("sings", "waits", "runs home", "reads a book", "calls a friend", "opens the door")


class Shouting(Classification):
    """Two labels: loud and quiet."""

    modality = "text"
    default_backbone = "textcnn"
    columns = (
        Column(name="text", role="input", summary="a sentence"),
        Column(name="label", role="target", summary="loud or quiet", stratify=True),
    )

    def sample(self):
        """Return every sentence twice, loud and quiet; the splits have different people."""
        people = {"train": PEOPLE[:4], "validation": PEOPLE[4:6], "test": PEOPLE[6:]}
        return {
            split: [
                {"text": sentence.upper() if label == "loud" else sentence, "label": label}
                for person in names
                for sentence in (f"{person} {deed}" for deed in DEEDS)
                for label in ("loud", "quiet")
            ]
            for split, names in people.items()
        }

    def inputs(self, row):
        """Return the sentence."""
        if not row.get("text"):
            raise BadExampleError("no text")
        return {"text": row["text"]}
'''


@pytest.fixture(scope="module")
def headstock(environment, tmp_path_factory):
    """Build and install the distribution; return what runs ``headstock`` beside it."""
    source = tmp_path_factory.mktemp("shouting-source")
    package = source / "headstock_shouting"
    package.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (package / "__init__.py").write_text(PLUGIN)
    (package / "task.py").write_text(TASK)
    environment.must("pip wheel --no-deps --wheel-dir dist .", source)
    (wheel,) = source.glob("dist/*.whl")
    environment.must(f"pip install --no-deps {wheel}", source)

    def run(*arguments):
        return environment.run(shlex.join(["headstock", *arguments]), source)

    return run


def test_the_task_is_short():
    assert len(TASK.splitlines()) + len(PLUGIN.splitlines()) < 80


def test_the_task_is_listed_with_its_distribution(headstock):
    result = headstock("tasks")
    assert result.returncode == 0, result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("shouting ")]
    assert line.split()[1] == "text"
    assert line.endswith("headstock-shouting 0.3.1")
    assert "text-classification" in result.stdout
    (plugin,) = [item for item in json.loads(headstock("plugins", "--json").stdout) if item["plugin"] == "shouting"]
    assert (plugin["distribution"], plugin["version"]) == ("headstock-shouting", "0.3.1")
    assert (plugin["entries"], plugin["problem"]) == ({"task": 1}, None)


def test_the_task_is_shown_like_any_other(headstock):
    result = headstock("show", "shouting", "--json")
    assert result.returncode == 0, result.stderr
    (shown,) = json.loads(result.stdout)
    assert [column["name"] for column in shown["columns"]] == ["text", "label"]
    assert "textcnn" in shown["backbones"]
    assert "dropout" in [option["name"] for option in shown["options"]]


@pytest.mark.slow
def test_the_task_trains(headstock, tmp_path):
    out = tmp_path / "run"
    result = headstock("run", "shouting", "--out", str(out), "trainer.epochs=1", "--quiet")
    assert result.returncode == 0, result.stderr
    results = json.loads((out / "results.json").read_text(encoding="utf-8"))
    for moment in ("before", "after"):
        metrics = results[moment]["metrics"]
        assert {"accuracy", "precision", "recall", "f1"} <= set(metrics)
        assert all(0 <= metrics[name] <= 1 for name in ("accuracy", "f1"))
