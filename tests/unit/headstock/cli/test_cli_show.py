from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
from click.testing import CliRunner

from headstock.cli.main import cli as command

COMPONENTS = textwrap.dedent("""
    from typing import Literal
    from pydantic import Field
    from headstock.interfaces import Adapter, Backbone, Column, Config, Metric, Task

    class NoseConfig(Config):
        width: int = Field(8, ge=1, description="how wide it sniffs")
        mode: Literal["short", "long"] = Field("short", description="how long it sniffs")

    class Nose(Backbone):
        Config = NoseConfig
        modality = "smell"
        cost_unit = "sniffs"

    class Sniff(Task):
        modality = "smell"
        default_backbone = "made-up-nose"
        columns = (
            Column(name="odour", role="input", summary="a bottle", content="file", suffixes=(".gas",)),
            Column(name="label", role="target", summary="what it is", required=False),
        )
        metrics = (Metric(name="hits", better="higher", summary="fraction that was right"),)

    class Keeper(Adapter):
        keeps_base = True

        @classmethod
        def trainer_defaults(cls, config, facts):
            return {"learning_rate": 0.01, "epochs": 10_000 // facts.examples}

    class NeedsConfig(Config):
        power: int = Field(description="how strong")

    class Needs(Keeper):
        Config = NeedsConfig

        @classmethod
        def trainer_defaults(cls, config, facts):
            return {"learning_rate": 0.1 ** config.power}

    class Silent(Task):
        modality = "smell"
        columns = ()
""")

ENTRIES = [
    {"kind": "backbone", "name": "made-up-nose", "target": "made_up_parts:Nose", "modality": "smell"},
    {"kind": "backbone", "name": "made-up-anything", "target": "made_up_parts:Nose"},
    {"kind": "backbone", "name": "made-up-eye", "target": "made_up_parts:Nose", "modality": "sight"},
    {"kind": "task", "name": "made-up-sniff", "target": "made_up_parts:Sniff", "modality": "smell"},
    {"kind": "task", "name": "made-up-both", "target": "made_up_parts:Sniff", "modality": "smell"},
    {"kind": "adapter", "name": "made-up-both", "target": "made_up_parts:Keeper"},
    {"kind": "adapter", "name": "made-up-needs", "target": "made_up_parts:Needs"},
    {"kind": "command", "name": "made-up-both", "target": "not_imported:run", "summary": "runs about"},
    {"kind": "task", "name": "made-up-gone", "target": "made_up_gone:X"},
    {"kind": "task", "name": "made-up-wrong", "target": "made_up_parts:Nose"},
    {"kind": "task", "name": "made-up-object", "target": "json:dumps"},
    {"kind": "task", "name": "made-up-silent", "target": "made_up_parts:Silent"},
]


@pytest.fixture
def invoke(fake_site):
    fake_site.add("nose", entries=ENTRIES, plugin="sniffer", version="3.1")
    fake_site.module("made_up_parts", COMPONENTS)
    return lambda *args: CliRunner().invoke(command, ["show", *args])


def cells(line):
    return [part.strip() for part in line.split("  ") if part.strip()]


def table(text, *header):
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if cells(line) == list(header))
    end = next((number for number in range(start, len(lines)) if not lines[number].strip()), len(lines))
    return [cells(line) for line in lines[start + 1 : end]]


def facts(text):
    return dict(cells(line)[:2] for line in text.split("\n\n")[0].splitlines())


def test_a_task_in_full(invoke):
    result = invoke("made-up-sniff")
    assert result.exit_code == 0
    assert facts(result.stdout) == {
        "kind": "task",
        "name": "made-up-sniff",
        "summary": "made up for a test",
        "modality": "smell",
        "from": "nose 3.1 (plugin sniffer)",
        "target": "made_up_parts:Sniff",
        "default backbone": "made-up-nose",
        "backbones": "made-up-anything, made-up-nose",
    }
    assert table(result.stdout, "column", "role", "required", "content", "meaning") == [
        ["odour", "input", "required", "file .gas", "a bottle"],
        ["label", "target", "optional", "value", "what it is"],
    ]
    assert table(result.stdout, "metric", "better", "meaning") == [["hits", "higher", "fraction that was right"]]


def test_a_backbone_in_full(invoke):
    result = invoke("made-up-nose")
    assert facts(result.stdout)["cost counted in"] == "sniffs"
    assert "made-up-sniff" in facts(result.stdout)["tasks"].split(", ")
    assert table(result.stdout, "option", "type", "default", "meaning") == [
        ["width", "int ≥ 1", "8", "how wide it sniffs"],
        ["mode", '"short" | "long"', '"short"', "how long it sniffs"],
    ]


def test_a_default_backbone_that_is_not_installed_says_so(invoke, fake_site):
    fake_site.module("made_up_parts", COMPONENTS.replace('"made-up-nose"', '"made-up-tail"'))
    assert facts(invoke("made-up-sniff").stdout)["default backbone"] == "made-up-tail (not installed)"


def test_a_name_of_several_kinds_shows_all(invoke):
    text = invoke("made-up-both").stdout
    assert [line for line in text.splitlines() if line.startswith("kind ")] == [
        "kind          adapter",
        "kind      command",
        "kind              task",
    ]
    assert facts(text)["base weights"] == "kept as they were"
    assert "headstock made-up-both --help" in text


def test_kind_chooses_among_them(invoke):
    assert facts(invoke("made-up-both", "--kind", "task").stdout)["target"] == "made_up_parts:Sniff"
    missing = invoke("made-up-both", "--kind", "backbone")
    assert missing.exit_code == 2
    assert "error: no backbone named 'made-up-both' is installed" in missing.stderr


def test_a_command_is_shown_without_importing_it(invoke):
    assert facts(invoke("made-up-both", "--kind", "command").stdout)["options"] == "headstock made-up-both --help"
    assert "not_imported" not in sys.modules


def test_json_has_the_same_and_more(invoke):
    (shown,) = json.loads(invoke("made-up-sniff", "--json").stdout)
    assert shown["kind"] == "task"
    assert (shown["distribution"], shown["version"], shown["plugin"]) == ("nose", "3.1", "sniffer")
    assert shown["options"] == []
    assert shown["columns"][0]["suffixes"] == [".gas"]
    assert shown["metrics"] == [{"name": "hits", "better": "higher", "summary": "fraction that was right"}]
    assert shown["default_backbone"] == "made-up-nose"
    (nose,) = json.loads(invoke("made-up-nose", "--json").stdout)
    assert nose["options"][0] == {
        "name": "width",
        "type": "int ≥ 1",
        "default": "8",
        "meaning": "how wide it sniffs",
    }
    (keeper,) = json.loads(invoke("made-up-both", "--kind", "adapter", "--json").stdout)
    assert keeper["keeps_base"] is True


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("made-up-gone", "task 'made-up-gone' of nose 3.1: cannot import made_up_gone:X (ModuleNotFoundError: "),
        ("made-up-wrong", "task 'made-up-wrong' of nose 3.1: made_up_parts:Nose is not a subclass of headstock.Task"),
        ("made-up-object", "json:dumps is not a subclass of headstock.Task"),
        ("made-up-silent", "made_up_parts:Silent does not say its metrics, default_backbone"),
        ("made-up-snif", "nothing named 'made-up-snif' is installed; did you mean made-up-sniff"),
    ],
)
def test_what_cannot_be_shown_is_one_line(invoke, name, message):
    result = invoke(name)
    errors = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert result.exit_code == 2
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert message in errors[0]


def test_a_contested_name_is_an_error_that_names_both(invoke, fake_site):
    fake_site.add("other-nose", entries=[{"name": "made-up-sniff"}])
    result = invoke("made-up-sniff")
    assert result.exit_code == 2
    assert "task 'made-up-sniff' is claimed by nose 3.1 (plugin 'sniffer') and other-nose 1.0" in result.stderr
    result = invoke("nose:made-up-sniff")
    assert facts(result.stdout)["name"] == "nose:made-up-sniff"
    assert facts(result.stdout)["from"] == "nose 3.1 (plugin sniffer)"


def test_the_trainer_settings_that_a_component_brings(invoke):
    result = invoke("made-up-both", "--kind", "adapter")
    sizes = ("option", "100 examples", "1,000 examples", "10,000 examples")
    assert table(result.stdout, *sizes) == [
        ["trainer.learning_rate", "0.01", "0.01", "0.01"],
        ["trainer.epochs", "100", "10", "1"],
    ]
    (shown,) = json.loads(invoke("made-up-both", "--kind", "adapter", "--json").stdout)
    assert shown["trainer_defaults"]["1000"] == {"learning_rate": 0.01, "epochs": 10}
    assert "trainer settings" not in invoke("made-up-nose").stdout
    assert table(invoke("made-up-needs").stdout, *sizes) == [["depend on its options"]]


@pytest.mark.parametrize(("section", "option"), [("data", "test_fraction"), ("trainer", "learning_rate")])
def test_the_other_sections_of_a_recipe_are_shown_like_components(invoke, section, option):
    result = invoke(section)
    assert result.exit_code == 0
    assert (facts(result.stdout)["kind"], facts(result.stdout)["name"]) == ("section of a recipe", section)
    assert option in [row[0] for row in table(result.stdout, "option", "type", "default", "meaning")]
    (shown,) = json.loads(invoke(section, "--json").stdout)
    assert all(row["meaning"] for row in shown["options"])


def test_showing_an_entry_imports_only_that(invoke, fake_site, command_env):
    fake_site.module("made_up_gone", "raise AssertionError('imported')")
    done = subprocess.run(
        [sys.executable, "-m", "headstock", "show", "made-up-sniff"],
        env=command_env([fake_site.folder]),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "made-up-sniff" in done.stdout
    assert "imported" not in done.stderr
