"""A plugin that is broken, however it is broken, must not take a command with it."""

from __future__ import annotations

import json

import pytest

BROKEN = {
    "missing dependency": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax error": ("def headstock_entries(:", "SyntaxError: "),
    "ends the process": ("import sys\nsys.exit('give up')", "SystemExit: give up"),
    "no hook": ("", "aaa_broken implements no hook"),
}


@pytest.fixture(params=BROKEN.values(), ids=BROKEN)
def broken(request, fake_site):
    """Install a broken plugin, first in order, and a sound one; return the folder and the reason."""
    source, reason = request.param
    fake_site.add("aaa-broken", source, plugin="sick", version="0.4")
    fake_site.add("nose", entries=[{"name": "made-up-sniff"}, {"kind": "command", "name": "made-up-run"}])
    return fake_site.folder, reason


def test_listing_still_works(cli, broken):
    folder, _ = broken
    result = cli("tasks", pythonpath=[folder])
    assert result.returncode == 0
    assert "made-up-sniff" in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if "sick" in line]
    assert line == "warning: 1 plugin could not be loaded: sick; `headstock plugins` says why"
    assert "Traceback" not in result.stderr


def test_help_still_works(cli, broken):
    folder, _ = broken
    result = cli("--help", pythonpath=[folder])
    assert result.returncode == 0
    assert "made-up-run" in result.stdout
    assert "Traceback" not in result.stderr


def test_plugins_says_what_is_wrong(cli, broken):
    folder, reason = broken
    result = cli("plugins", "--json", pythonpath=[folder])
    assert result.returncode == 0
    (sick,) = [plugin for plugin in json.loads(result.stdout) if plugin["plugin"] == "sick"]
    assert (sick["distribution"], sick["version"], sick["entries"]) == ("aaa-broken", "0.4", {})
    assert reason in sick["problem"]


def test_strict_makes_it_an_error(cli, broken):
    folder, reason = broken
    for argument in ("tasks", "plugins", "--help"):
        result = cli("--strict", argument, pythonpath=[folder])
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.startswith(f"error: plugin 'sick' of aaa-broken 0.4: {reason}")
        assert len(result.stderr.splitlines()) == 1
