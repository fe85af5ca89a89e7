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
    assert catalogue.names("task") == ("a-dist:twice", "b-dist:twice", "counting", "shared", "sorting")
    assert [entry.kind for entry in catalogue.entries()] == ["adapter", "backbone", *["task"] * 5]
    assert catalogue.names("command") == ()


def test_get_returns_the_entry_with_its_source(catalogue):
    assert str(catalogue.get("task", "sorting").source) == "b-dist 1.0"


def test_an_unknown_name_is_answered_with_the_nearest(catalogue):
    with pytest.raises(UnknownNameError, match=r"^no task named 'srtin' is installed; did you mean sorting\?$"):
        catalogue.get("task", "srtin")


def test_an_unknown_name_near_to_nothing_is_answered_with_all(catalogue):
    with pytest.raises(
        UnknownNameError,
        match=r"^no task named 'xyz' is installed; known: a-dist:twice, b-dist:twice, counting, shared, sorting$",
    ):
        catalogue.get("task", "xyz")
    with pytest.raises(UnknownNameError, match=r"^no command named 'xyz' is installed; there are none$"):
        catalogue.get("command", "xyz")


def test_a_name_of_another_kind_is_unknown(catalogue):
    with pytest.raises(UnknownNameError, match=r"^no backbone named 'sorting'"):
        catalogue.get("backbone", "sorting")


def test_any_name_can_be_qualified(catalogue):
    assert catalogue.get("task", "b-dist:sorting") == catalogue.get("task", "sorting")
    assert catalogue.get("task", "B_Dist:sorting") == catalogue.get("task", "sorting")
    assert [entry.kind for entry in catalogue.find("a-dist:shared")] == ["task"]
    with pytest.raises(UnknownNameError, match=r"^no task named 'a-dist:sorting' is installed; did you mean .*sorting"):
        catalogue.get("task", "a-dist:sorting")
    with pytest.raises(UnknownNameError, match="there is no plugin of a distribution 'ddist'; did you mean"):
        catalogue.get("task", "ddist:sorting")


def test_a_name_that_two_third_parties_claim_is_only_to_be_had_qualified(catalogue):
    for ask in (catalogue.find, lambda name: catalogue.get("task", name)):
        with pytest.raises(NameConflictError) as caught:
            ask("twice")
        assert str(caught.value) == (
            "task 'twice' is claimed by b-dist 1.0 (plugin 'b') and a-dist 1.0 (plugin 'a'); "
            "name it b-dist:twice or a-dist:twice"
        )
    for plugin_name in ("a", "b"):
        found = catalogue.get("task", f"{plugin_name}-dist:twice")
        assert found.source.plugin == plugin_name
        assert catalogue.name(found) == f"{plugin_name}-dist:twice"
    assert [conflict.name for conflict in catalogue.conflicts] == ["twice"]


@pytest.mark.parametrize("own_first", [True, False])
def test_what_comes_with_headstock_keeps_its_name(own_first):
    own = plugin("headstock", ("task", "sorting")).entries[0]
    own = own.model_copy(update={"source": Source(plugin="text", distribution="headstock", version="1")})
    records = [PluginRecord(source=own.source, entries=(own,)), plugin("thief", ("task", "sorting"))]
    catalogue = Catalogue(records if own_first else records[::-1])
    assert catalogue.get("task", "sorting") == own
    assert catalogue.find("sorting") == (own,)
    stolen = catalogue.get("task", "thief-dist:sorting")
    assert stolen.source.plugin == "thief"
    assert (catalogue.name(own), catalogue.name(stolen)) == ("sorting", "thief-dist:sorting")
    assert catalogue.names("task") == ("sorting", "thief-dist:sorting")
    (conflict,) = catalogue.conflicts
    assert str(conflict) == (
        "task 'sorting' is headstock's own; to use the other, name it thief-dist:sorting (from thief-dist 1.0)"
    )
    with pytest.raises(NameConflictError, match="headstock's own"):
        catalogue.check()


def test_a_name_that_one_distribution_claims_twice_cannot_be_had():
    twins = [plugin(name, ("task", "sorting")) for name in ("a", "b")]
    source = {"distribution": "same", "version": "1.0"}
    twins = [
        PluginRecord(
            source=twin.source.model_copy(update=source),
            entries=tuple(
                entry.model_copy(update={"source": twin.source.model_copy(update=source)}) for entry in twin.entries
            ),
        )
        for twin in twins
    ]
    catalogue = Catalogue([*twins, plugin("c", ("task", "sorting"))])
    for name in ("sorting", "same:sorting"):
        with pytest.raises(NameConflictError, match="a distribution can have a name once"):
            catalogue.get("task", name)
    assert catalogue.names("task") == ("c-dist:sorting",)


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
