from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import pytest

from headstock_registry import API_VERSION, PluginError, UnknownNameError, load_catalogue

HOOK = "from headstock_registry import Entry, hookimpl\n@hookimpl\ndef headstock_entries({arguments}):\n    {body}\n"


def record(distribution):
    (found,) = [plugin for plugin in load_catalogue().plugins if plugin.source.distribution == distribution]
    return found


def test_entries_are_stamped_with_who_brought_them(fake_site):
    fake_site.add("good-tasks", entries=[{"name": "made-up", "modality": "smell"}], plugin="good", version="2.3")
    entry = load_catalogue().get("task", "made-up")
    assert (entry.source.plugin, entry.source.distribution, entry.source.version) == ("good", "good-tasks", "2.3")
    assert entry.modality == "smell"
    assert record("good-tasks").problem is None


def test_a_plugin_cannot_stamp_its_entries_itself(fake_site):
    forged = {"plugin": "x", "distribution": "someone-else", "version": "9"}
    fake_site.add("forger", entries=[{"name": "made-up", "source": forged}])
    assert load_catalogue().get("task", "made-up").source.distribution == "forger"


BROKEN = {
    "missing import": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax error": ("def broken(:", "SyntaxError: "),
    "many lines": (r"raise RuntimeError('first\n  second\n')", "RuntimeError: first second"),
    "no message": ("raise RuntimeError", "RuntimeError: no message"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "panic": ("class Panic(BaseException): pass\nraise Panic('native code gave up')", "Panic: native code gave up"),
    "no hook": ("nothing = 1", "implements no hook; decorate headstock_entries() with headstock.hookimpl"),
    "misspelt hook": (HOOK.replace("_entries", "_entry").format(arguments="", body="return []"), "headstock_entry'"),
    "wrong signature": (HOOK.format(arguments="config", body="return []"), "{'config'}"),
    "hook fails": (HOOK.format(arguments="", body="return 1 / 0"), "ZeroDivisionError: division by zero"),
    "hook exits": (HOOK.format(arguments="", body="raise SystemExit('bye')"), "SystemExit: bye"),
    "returns nothing": (HOOK.format(arguments="", body="pass"), "must return a list of headstock.Entry"),
    "returns a string": (HOOK.format(arguments="", body="return 'task'"), "must return a list of headstock.Entry"),
    "returns numbers": (HOOK.format(arguments="", body="return [1, 2]"), "must return a list of headstock.Entry"),
}


@pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_recorded_and_the_others_still_load(fake_site, source, reason):
    fake_site.add("broken", source, version="0.7")
    fake_site.add("sound", entries=[{"name": "made-up"}])
    broken = record("broken")
    assert reason in broken.problem
    assert "\n" not in broken.problem
    assert (broken.source.version, broken.entries) == ("0.7", ())
    assert "made-up" in load_catalogue().names("task")


def test_ctrl_c_while_a_plugin_is_imported_is_not_swallowed(fake_site):
    fake_site.add("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_catalogue()


INCOMPATIBLE = {
    "newer api": (
        {"api_version": API_VERSION + 1},
        "needs plugin API 2, this headstock offers version 1; upgrade headstock",
    ),
    "older api": ({"api_version": 0}, "needs plugin API 0, this headstock offers version 1; upgrade odd"),
    "unknown kind": ({"kind": "tsak"}, "is of unknown kind 'tsak'; known: task, backbone, adapter, method, command"),
    "newer kind of a newer api": (
        {"kind": "scheduler", "api_version": API_VERSION + 1},
        "needs plugin API 2, this headstock offers version 1; upgrade headstock",
    ),
}


@pytest.mark.parametrize(("change", "reason"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_an_entry_for_another_headstock_is_left_out_alone(fake_site, change, reason):
    fake_site.add("odd", entries=[{"name": "fine"}, {"name": "made-up", **change}])
    odd, catalogue = record("odd"), load_catalogue()
    assert odd.problem is None
    assert [(str(entry), entry.reason) for entry in odd.left_out] == [
        (f"{change.get('kind', 'task')} 'made-up' of odd 1.0", reason)
    ]
    assert "fine" in catalogue.names("task")
    assert "made-up" not in [entry.name for entry in catalogue.entries()]
    kind = "task" if change.get("kind") != "scheduler" else "adapter"
    for name in ("made-up", "odd:made-up"):
        with pytest.raises(UnknownNameError) as caught:
            catalogue.get(kind, name)
        brought = f"it is brought by plugin 'odd' of odd 1.0 and {reason}"
        assert str(caught.value) == f"no {kind} named '{name}' is installed: {brought}"
        with pytest.raises(UnknownNameError, match=r"nothing named .* is brought by plugin 'odd'"):
            catalogue.find(name)
    with pytest.raises(PluginError, match=r"'made-up' of odd 1\.0: "):
        load_catalogue(list(odd_points())).check()


def odd_points():
    return metadata.entry_points(group="headstock", name="odd")


@pytest.mark.parametrize("layout", ["module", "package", "broken package"])
def test_a_missing_name_is_traced_to_the_broken_plugin_that_has_it(fake_site, layout):
    code = "import no_such_module\nENTRIES = [dict(kind='task', name='made-up', target='a:B')]"
    if layout == "module":
        fake_site.add("broken", code)
    else:
        fake_site.add("broken", "", value="broken_package.plugin")
        package = fake_site.folder / "broken_package"
        package.mkdir()
        (package / "__init__.py").write_text("import no_such_module" if layout == "broken package" else "")
        (package / "plugin.py").write_text(code)
    for name in ("made-up", "broken:made-up"):
        with pytest.raises(UnknownNameError) as caught:
            load_catalogue().get("task", name)
        message = str(caught.value)
        assert message.startswith(f"no task named '{name}' is installed; ")
        assert message.endswith(
            "; plugin 'broken' of broken 1.0, which cannot be loaded (ModuleNotFoundError: No module named "
            "'no_such_module'), mentions it"
        )
    with pytest.raises(UnknownNameError, match=r"'made-up-b' is installed; known|did you mean"):
        load_catalogue().get("task", "made-up-b")
    assert "no_such_module" not in sys.modules


INVALID = {
    "blank in the name": ({"name": "made up"}, "Entry is not valid: name: String should match pattern"),
    "colon in the name": ({"name": "other:made-up"}, "Entry is not valid: name: String should match pattern"),
    "line break after the name": ({"name": "made-up\n"}, "Entry is not valid: name: String should match pattern"),
    "capitals in the name": ({"name": "Made-up"}, "Entry is not valid: name: String should match pattern"),
    "bad target": ({"target": "no_colon"}, "Entry is not valid: target: "),
    "long summary": ({"summary": "x" * 121}, "Entry is not valid: summary: "),
    "unknown field": ({"colour": "red"}, "Entry is not valid: colour: Extra inputs are not permitted, got 'red'"),
}


@pytest.mark.parametrize(("change", "reason"), INVALID.values(), ids=INVALID)
def test_an_invalid_entry_makes_the_plugin_a_failure(fake_site, change, reason):
    fake_site.add("odd", entries=[{"name": "fine"}, {"name": "made-up", **change}])
    assert reason in record("odd").problem
    assert "fine" not in load_catalogue().names("task")


def test_a_plugin_that_lists_an_entry_twice_is_a_failure(fake_site):
    fake_site.add("odd", entries=[{"name": "made-up"}, {"name": "made-up", "target": "else:Where"}])
    assert record("odd").problem == "headstock_entries() lists task 'made-up' more than once"


def test_one_name_may_be_used_for_two_kinds(fake_site):
    fake_site.add("pair", entries=[{"name": "made-up"}, {"name": "made-up", "kind": "backbone"}])
    assert [entry.kind for entry in load_catalogue().find("made-up")] == ["backbone", "task"]


def test_two_distributions_may_give_their_plugins_the_same_name(fake_site):
    fake_site.add("first-tasks", entries=[{"name": "made-up-a"}], plugin="tasks")
    fake_site.add("second-tasks", entries=[{"name": "made-up-b"}], plugin="tasks")
    catalogue = load_catalogue()
    assert catalogue.get("task", "made-up-a").source.distribution == "first-tasks"
    assert catalogue.get("task", "made-up-b").source.distribution == "second-tasks"


def test_an_entry_point_that_names_a_missing_object_is_a_failure(fake_site):
    fake_site.add("odd", "nothing = 1", value="odd:plugin")
    assert record("odd").problem == "AttributeError: module 'odd' has no attribute 'plugin'"


def test_a_distribution_without_readable_metadata_is_a_failure(fake_site):
    fake_site.add("damaged", entries=[{"name": "made-up"}], metadata=False)
    damaged = record("unknown")
    assert damaged.source.plugin == "damaged"
    assert damaged.problem == "the metadata of the distribution that brings damaged cannot be read; install it again"


def test_entry_points_can_be_given(fake_site):
    fake_site.module(
        "by_hand", "from headstock_registry import hookimpl\n@hookimpl\ndef headstock_entries(): return []"
    )
    catalogue = load_catalogue([metadata.EntryPoint("hand", "by_hand", "headstock")])
    assert [(plugin.source.plugin, plugin.problem) for plugin in catalogue.plugins] == [("hand", None)]


def test_the_registry_imports_no_machine_learning_library():
    code = "import sys, headstock_registry as r; r.load_catalogue(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "numpy"} & set(loaded)
