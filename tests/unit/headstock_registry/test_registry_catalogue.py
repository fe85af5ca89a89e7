from __future__ import annotations

import pytest

import headstock_registry
from headstock_registry import (
    Catalogue,
    Entry,
    HeadstockError,
    NameConflictError,
    PluginError,
    PluginRecord,
    Source,
    UnknownNameError,
    nearest,
)


def plugin(name, *entries, problem=None):
    source = Source(plugin=name, distribution=f"{name}-dist", version="1.0")
    made = [
        Entry(kind=kind, name=entry, target="json:dumps", summary="s", api_version=1, source=source)
        for kind, entry in entries
    ]
    return PluginRecord(source=source, entries=tuple(made), problem=problem)


@pytest.fixture
def catalogue():
    return Catalogue(
        [
            plugin("b", ("task", "sorting"), ("backbone", "shared"), ("task", "twice")),
            plugin("a", ("task", "counting"), ("task", "shared"), ("task", "twice"), ("adapter", "full")),
            plugin("c", problem="ImportError: gone"),
        ]
    )


def test_entries_are_sorted_and_filtered_by_kind(catalogue):
    assert catalogue.names("task") == ("counting", "shared", "sorting")
    assert [entry.kind for entry in catalogue.entries()] == ["adapter", "backbone", "task", "task", "task"]
    assert catalogue.names("command") == ()


def test_get_returns_the_entry_with_its_source(catalogue):
    assert str(catalogue.get("task", "sorting").source) == "b-dist 1.0"


def test_an_unknown_name_is_answered_with_the_nearest(catalogue):
    with pytest.raises(UnknownNameError, match=r"^no task named 'srtin' is installed; did you mean sorting\?$"):
        catalogue.get("task", "srtin")


def test_an_unknown_name_near_to_nothing_is_answered_with_all(catalogue):
    with pytest.raises(UnknownNameError, match=r"^no task named 'xyz' is installed; known: counting, shared, sorting$"):
        catalogue.get("task", "xyz")
    with pytest.raises(UnknownNameError, match=r"^no command named 'xyz' is installed; there are none$"):
        catalogue.get("command", "xyz")


def test_a_name_of_another_kind_is_unknown(catalogue):
    with pytest.raises(UnknownNameError, match=r"^no backbone named 'sorting'"):
        catalogue.get("backbone", "sorting")


def test_a_contested_name_is_an_error_that_names_both(catalogue):
    with pytest.raises(NameConflictError) as caught:
        catalogue.get("task", "twice")
    assert "task 'twice' is claimed by b-dist 1.0 (plugin 'b') and a-dist 1.0 (plugin 'a')" in str(caught.value)
    assert "twice" not in catalogue.names("task")
    assert [conflict.name for conflict in catalogue.conflicts] == ["twice"]


def test_find_looks_through_all_kinds(catalogue):
    assert [entry.kind for entry in catalogue.find("shared")] == ["backbone", "task"]
    with pytest.raises(NameConflictError, match="twice"):
        catalogue.find("twice")
    with pytest.raises(UnknownNameError, match="did you mean shared"):
        catalogue.find("share")


def test_check_raises_for_a_failed_plugin_first(catalogue):
    with pytest.raises(PluginError, match=r"^plugin 'c' of c-dist 1.0: ImportError: gone$"):
        catalogue.check()


def test_check_raises_for_a_conflict():
    catalogue = Catalogue([plugin("a", ("task", "twice")), plugin("b", ("task", "twice"))])
    with pytest.raises(NameConflictError, match="twice"):
        catalogue.check()


def test_check_is_silent_when_all_is_well():
    Catalogue([plugin("a", ("task", "twice")), plugin("b", ("backbone", "twice"))]).check()


def entry_for(target):
    return plugin("a", ("task", "made-up")).entries[0].model_copy(update={"target": target})


def test_resolve_imports_the_target():
    import fractions

    assert Catalogue([]).resolve(entry_for("fractions:Fraction")) is fractions.Fraction


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("no_such_module:X", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:no_such_name", "AttributeError: module 'json' has no attribute 'no_such_name'"),
        ("quitting:X", "SystemExit: 1"),
        ("talkative:X", "RuntimeError: one two"),
    ],
)
def test_a_target_that_does_not_import_is_a_plugin_error(fake_site, target, reason):
    fake_site.module("quitting", "raise SystemExit(1)")
    fake_site.module("talkative", r"raise RuntimeError('one\ntwo')")
    with pytest.raises(PluginError) as caught:
        Catalogue([]).resolve(entry_for(target))
    assert str(caught.value) == f"task 'made-up' of a-dist 1.0: cannot import {target} ({reason})"


def test_ctrl_c_while_a_target_is_imported_is_not_swallowed(fake_site):
    fake_site.module("interrupted", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Catalogue([]).resolve(entry_for("interrupted:X"))


@pytest.mark.parametrize(
    ("name", "known", "answer"),
    [
        ("lrate", ["rate", "size"], "; did you mean rate?"),
        ("abc", ["abd", "abe", "xyz"], "; did you mean abe or abd?"),
        ("zzz", ["b", "a", "b"], "; known: a, b"),
        ("zzz", [], "; there are none"),
        ("zzz", [letter * 3 for letter in "abcdefgh"], "; known: aaa, bbb, ccc, ddd, eee, fff, ggg, hhh"),
        ("z--", [letter * 3 for letter in "bcdefghijz"], "; known: zzz, jjj, iii, hhh, ggg, fff, eee, ddd and 2 more"),
    ],
)
def test_nearest(name, known, answer):
    assert nearest(name, known) == answer


def test_every_error_is_one_that_the_command_line_shows():
    errors = [headstock_registry.NameConflictError, PluginError, UnknownNameError]
    assert all(issubclass(error, HeadstockError) for error in errors)


def test_public_names_exist():
    assert all(hasattr(headstock_registry, name) for name in headstock_registry.__all__)
    assert len(set(headstock_registry.__all__)) == len(headstock_registry.__all__)
