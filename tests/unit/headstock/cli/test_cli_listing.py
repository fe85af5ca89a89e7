from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from headstock.cli.main import cli as command

KINDS = {"tasks": "task", "backbones": "backbone", "adapters": "adapter"}


@pytest.fixture
def invoke():
    return lambda *args: CliRunner().invoke(command, args)


@pytest.mark.parametrize(("listing", "kind"), KINDS.items())
def test_a_listing_names_each_entry_and_who_brought_it(fake_site, invoke, listing, kind):
    entry = {"kind": kind, "name": "made-up", "modality": "smell", "summary": "sniffs at things"}
    fake_site.add("nose", entries=[entry, {"kind": kind, "name": "made-up-two"}], version="3.1")
    result = invoke(listing)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].split() == ["name", "modality", "summary", "from"]
    (line,) = [line for line in lines if line.startswith("made-up ")]
    assert [part.strip() for part in line.split("  ") if part] == ["made-up", "smell", "sniffs at things", "nose 3.1"]
    assert ["made-up-two", "any"] in [line.split()[:2] for line in lines]


def test_a_listing_has_only_its_kind(fake_site, invoke):
    fake_site.add("mixed", entries=[{"name": "made-up-task"}, {"kind": "backbone", "name": "made-up-backbone"}])
    assert "made-up-backbone" not in invoke("tasks").stdout
    assert "made-up-task" not in invoke("backbones").stdout


@pytest.mark.parametrize(("listing", "kind"), KINDS.items())
def test_json_holds_all_that_is_known(fake_site, invoke, listing, kind):
    entry = {"kind": kind, "name": "made-up", "target": "a.b:C", "summary": "气味", "modality": "smell"}
    fake_site.add("nose", entries=[entry], plugin="sniffer", version="3.1")
    (found,) = [item for item in json.loads(invoke(listing, "--json").stdout) if item["name"] == "made-up"]
    assert found == {
        **entry,
        "api_version": 1,
        "distribution": "nose",
        "version": "3.1",
        "plugin": "sniffer",
    }


def test_plain_text_is_aligned_and_never_cut(fake_site, invoke):
    fake_site.add(
        "long",
        entries=[
            {"name": "made-up-" + "x" * 90, "summary": "y" * 120},
            {"name": "made-up-zh", "summary": "中文"},
            {"name": "made-up-markup", "summary": "[bold]kept[/bold] :smile:"},
        ],
    )
    text = invoke("tasks").stdout
    lines = [line for line in text.splitlines() if line.startswith("made-up")]
    assert {"x" * 90 in text, "y" * 120 in text, "[bold]kept[/bold] :smile:" in text} == {True}
    assert not set("│─┃━╭|") & set(text)
    assert len({line.index("any") for line in lines}) == 1
    wide = {line.index("long 1.0") + line.count("中") + line.count("文") for line in lines}
    assert len(wide) == 1


def run_in_terminal(command_env, fake_site, columns, *args):
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "headstock", *args],
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=subprocess.DEVNULL,
        env={**command_env([fake_site.folder]), "COLUMNS": str(columns), "TERM": "xterm"},
    )
    os.close(secondary)
    output = b""
    try:
        while chunk := os.read(primary, 4096):
            output += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(primary)
    assert process.wait(60) == 0
    return output.decode().replace("\r\n", "\n")


def test_in_a_terminal_the_summary_wraps_to_fit(fake_site, command_env):
    summary = " ".join(f"word{number}" for number in range(14))
    fake_site.add("nose", entries=[{"name": "made-up", "summary": summary}])
    text = re.sub(r"\x1b\[[0-9;]*m", "", run_in_terminal(command_env, fake_site, 60, "tasks"))
    assert max(map(len, text.splitlines())) <= 60
    assert all(f"word{number}" in text for number in range(14))
    assert "…" not in text


def test_plugins_shows_what_each_brings(fake_site, invoke):
    entries = [{"name": "made-up-a"}, {"name": "made-up-b"}, {"kind": "command", "name": "made-up"}]
    fake_site.add("nose", entries=entries, plugin="sniffer", version="3.1")
    result = invoke("plugins")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("sniffer")]
    assert line.split("  ")[-1].strip() == "ok"
    assert [part.strip() for part in line.split("  ") if part][:4] == ["sniffer", "nose", "3.1", "1 command, 2 task"]


def test_plugins_lists_the_broken_with_the_reason(fake_site, invoke):
    fake_site.add("broken-nose", r"raise ValueError('no\n  smell')", plugin="sniffer", version="0.9")
    result = invoke("plugins")
    assert result.exit_code == 0
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("sniffer")]
    assert [part.strip() for part in line.split("  ") if part] == [
        "sniffer",
        "broken-nose",
        "0.9",
        "none",
        "ValueError: no smell",
    ]
    (found,) = [item for item in json.loads(invoke("plugins", "--json").stdout) if item["plugin"] == "sniffer"]
    assert found == {
        "plugin": "sniffer",
        "distribution": "broken-nose",
        "version": "0.9",
        "entries": {},
        "problem": "ValueError: no smell",
        "left_out": [],
        "conflicts": [],
    }


@pytest.mark.parametrize("listing", ["tasks", "backbones", "adapters", "schema", "--help"])
def test_all_that_could_not_be_loaded_is_one_line_that_says_where_to_look(fake_site, invoke, listing):
    for distribution in ("broken-a", "broken-b"):
        fake_site.add(distribution, "raise ValueError('a reason')")
    fake_site.add("newer", entries=[{"name": "made-up"}, {"name": "made-up-newer", "api_version": 9}])
    result = invoke(listing)
    assert result.exit_code == 0
    (line,) = [line for line in result.stderr.splitlines() if "broken" in line or "left out" in line]
    assert line == (
        "warning: 2 plugins could not be loaded: broken-a, broken-b; task 'made-up-newer' of newer 1.0 is left out; "
        "`headstock plugins` says why"
    )


def test_plugins_says_in_full_why_something_is_left_out(fake_site, invoke):
    reason = "very " * 60 + "bad"
    fake_site.add("broken-nose", f"raise ValueError('{reason}')")
    fake_site.add("newer", entries=[{"name": "made-up"}, {"name": "made-up-newer", "api_version": 9}])
    result = invoke("plugins")
    assert f"ValueError: {reason}\n" in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("newer ")]
    assert "  task 'made-up-newer' is left out: needs plugin API 9, this headstock offers" in line
    (record,) = [item for item in json.loads(invoke("plugins", "--json").stdout) if item["plugin"] == "newer"]
    assert [(entry["kind"], entry["name"]) for entry in record["left_out"]] == [("task", "made-up-newer")]


PARTS = """
import click
from headstock import Adapter, Backbone
print("a greeting")

class Nose(Backbone):
    modality = "smell"

@click.command()
def run(): pass
"""


def test_plugins_import_tries_every_target(fake_site, invoke):
    fake_site.module("made_up_parts", PARTS)
    good = [
        {"kind": "backbone", "name": "made-up-nose", "target": "made_up_parts:Nose"},
        {"kind": "command", "name": "made-up-run", "target": "made_up_parts:run"},
    ]
    bad = [
        {"kind": "adapter", "name": "made-up-wrong", "target": "made_up_parts:Nose"},
        {"kind": "command", "name": "made-up-odd", "target": "made_up_parts:Nose"},
        {"name": "made-up-gone", "target": "made_up_gone:X"},
    ]
    fake_site.add("nose", entries=good)
    result = invoke("plugins", "--import")
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("nose ")]
    assert result.exit_code == 0
    assert line.endswith("ok")
    assert "greeting" not in result.stdout
    fake_site.add(
        "mouth",
        entries=[
            *bad,
            {"name": "made-up-fine", "target": "headstock_text.tasks.text_classification:TextClassification"},
        ],
    )
    result = invoke("plugins", "--import", "--json")
    assert result.exit_code == 1
    records = {record["plugin"]: record for record in json.loads(result.stdout)}
    assert {name for name, record in records.items() if record["import_errors"]} == {"mouth"}
    wrong, odd, gone = records["mouth"]["import_errors"]
    assert wrong == "adapter 'made-up-wrong' of mouth 1.0: made_up_parts:Nose is not a subclass of headstock.Adapter"
    assert odd == "command 'made-up-odd' of mouth 1.0: made_up_parts:Nose is not a click command"
    assert gone.startswith("task 'made-up-gone' of mouth 1.0: cannot import made_up_gone:X (ModuleNotFoundError: ")
    assert invoke("plugins").exit_code == 0
    assert gone in invoke("plugins", "--import").stdout


@pytest.fixture
def contested(fake_site):
    fake_site.add("first-nose", entries=[{"name": "made-up-smell"}, {"name": "made-up-a"}], plugin="one")
    fake_site.add("second-nose", entries=[{"name": "made-up-smell"}, {"kind": "adapter", "name": "made-up-b"}])


def test_contested_names_are_listed_as_they_have_to_be_written(contested, invoke):
    result = invoke("tasks")
    assert result.exit_code == 0
    names = [line.split()[0] for line in result.stdout.splitlines()]
    assert {"made-up-a", "first-nose:made-up-smell", "second-nose:made-up-smell"} <= set(names)
    assert "made-up-smell" not in names
    (line,) = [line for line in result.stderr.splitlines() if "made-up-smell" in line]
    assert line.startswith("warning: task 'made-up-smell' is claimed by first-nose 1.0 (plugin 'one') and second-nose")
    assert line.endswith("name it first-nose:made-up-smell or second-nose:made-up-smell")
    listed = [item["name"] for item in json.loads(invoke("tasks", "--json").stdout)]
    assert "first-nose:made-up-smell" in listed


def test_a_plugin_that_claims_a_name_of_headstock_is_listed_beside_it(fake_site, invoke):
    fake_site.add("thief", entries=[{"name": "text-classification", "modality": "smell"}])
    result = invoke("tasks")
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert lines["thief:text-classification"].endswith("thief 1.0")
    assert "headstock " in lines["text-classification"]
    assert "name it thief:text-classification (from thief 1.0)" in result.stderr


def test_a_contested_name_leaves_other_kinds_alone(contested, invoke):
    result = invoke("adapters")
    assert result.exit_code == 0
    assert "made-up-b" in result.stdout
    assert "made-up-smell" not in result.stderr


def test_plugins_shows_contested_names_at_both(contested, invoke):
    result = invoke("plugins")
    assert result.exit_code == 0
    assert result.stdout.count("task 'made-up-smell' is claimed by first-nose 1.0") == 2


def test_listing_imports_neither_targets_nor_heavy_libraries(fake_site, command_env):
    fake_site.add("nose", entries=[{"name": "made-up", "target": "made_up_target:X"}])
    fake_site.module("made_up_target", "raise AssertionError('imported')")
    heavy = {"torch", "transformers", "numpy", "datasets", "rich.console", "made_up_target"}
    code = (
        "import sys\nfrom headstock.cli.main import main\nsys.argv[1:] = {arguments!r}\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print('modules:', *sys.modules)\n"
    )
    for arguments in (["tasks"], ["backbones"], ["adapters"], ["plugins"], ["--help"], ["show", "bench"]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(arguments=arguments)],
            env=command_env([fake_site.folder]),
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        text, _, modules = done.stdout.partition("modules:")
        assert text.strip()
        assert not heavy & set(modules.split()), arguments
