from __future__ import annotations

import signal
import subprocess
import sys
from importlib import metadata

import click
import pytest
from click.testing import CliRunner

from headstock.cli.commands import CORE
from headstock.cli.main import cli as command
from headstock_registry import load_catalogue

COMMANDS = """
import sys, time
import click
from headstock_registry import HeadstockError

class Stopped(HeadstockError):
    exit_code = 143

@click.command()
@click.argument("how")
def fail(how):
    if how == "error": raise HeadstockError("first line\\n   second line")
    if how == "stop": raise Stopped("stopped; resume with --resume")
    if how == "ctrl-c": raise KeyboardInterrupt
    if how == "abort": raise click.Abort
    if how == "eof": raise EOFError("file is cut off")
    if how == "bug": raise ValueError("a bug")
    if how == "missing": open("/made-up/file")
    if how == "forbidden": raise PermissionError(13, "Permission denied", "/made-up/file")
    if how == "usage": raise click.UsageError("not like this")
    if how == "click": raise click.ClickException("click says no")
    if how == "exit": click.get_current_context().exit(7)
    if how == "number": return 5
    if how == "sleep":
        print("ready", flush=True)
        time.sleep(60)
    if how == "flood":
        print("ready", flush=True)
        while True: print("x" * 1000)

not_a_command = 3

@click.group()
def many(): pass
"""


@pytest.fixture
def invoke():
    return lambda *args: CliRunner().invoke(command, args)


@pytest.fixture
def commands(fake_site):
    fake_site.module("made_up_commands", COMMANDS)
    entries = [
        {"kind": "command", "name": "made-up-fail", "target": "made_up_commands:fail", "summary": "fails as told"},
        {"kind": "command", "name": "made-up-many", "target": "made_up_commands:many"},
        {"kind": "command", "name": "made-up-odd", "target": "made_up_commands:not_a_command"},
        {"kind": "command", "name": "made-up-gone", "target": "made_up_gone:run"},
    ]
    fake_site.add("commanding", entries=entries)
    return fake_site


def test_help_names_all_commands_with_summaries(commands, invoke):
    result = invoke("--help")
    assert result.exit_code == 0
    for name in ("run", "predict", "evaluate", "tasks", "backbones", "adapters", "plugins", "show", "schema"):
        assert f"\n  {name} " in result.stdout
    assert "made-up-fail  fails as told" in result.stdout
    assert "made_up_commands" not in sys.modules


@pytest.mark.parametrize("name", ["tasks", "backbones", "adapters", "plugins", "show", "schema"])
def test_core_commands_are_where_they_are_said_to_be(invoke, name):
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert f"Usage: headstock {name} " in result.stdout


def test_summaries_fit_on_a_line():
    assert all(len(core.summary) <= 80 and core.target.startswith("headstock.cli.") for core in CORE.values())


def test_no_arguments_show_the_help(invoke):
    result = invoke()
    assert "Commands:" in result.output
    assert result.exit_code == 2


def test_a_group_of_a_plugin_without_arguments_shows_its_help(commands, invoke):
    result = invoke("made-up-many")
    assert "Usage: headstock made-up-many" in result.output
    assert "error:" not in result.output


def test_version():
    result = CliRunner().invoke(command, ["--version"])
    try:
        version = metadata.version("headstock")
    except metadata.PackageNotFoundError:
        assert result.exit_code == 2
        assert result.stderr.startswith("error: headstock is not installed")
    else:
        assert result.stdout == f"headstock {version}\n"


def test_an_error_is_one_line_and_exit_code_2(commands, invoke):
    result = invoke("made-up-fail", "error")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: first line second line\n"


def test_an_error_may_bring_its_own_exit_code(commands, invoke):
    result = invoke("made-up-fail", "stop")
    assert (result.exit_code, result.stderr) == (143, "error: stopped; resume with --resume\n")


@pytest.mark.parametrize("how", ["ctrl-c", "abort"])
def test_ctrl_c_is_quiet(commands, invoke, how):
    result = invoke("made-up-fail", how)
    assert (result.exit_code, result.output.strip()) == (130, "")


@pytest.mark.parametrize(("how", "kind"), [("bug", ValueError), ("eof", EOFError), ("missing", FileNotFoundError)])
def test_a_bug_keeps_its_traceback(commands, invoke, how, kind):
    result = invoke("made-up-fail", how)
    assert type(result.exception) is kind


def test_what_the_system_refuses_is_one_line(commands, invoke):
    result = invoke("made-up-fail", "forbidden")
    assert (result.exit_code, result.stderr) == (2, "error: cannot use /made-up/file: Permission denied\n")


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ("usage", 2, "error: not like this (see 'headstock made-up-fail --help')\n"),
        ("click", 1, "error: click says no\n"),
        ("exit", 7, ""),
        ("number", 0, ""),
    ],
)
def test_what_click_raises(commands, invoke, how, code, message):
    result = invoke("made-up-fail", how)
    assert (result.exit_code, result.stderr) == (code, message)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["tasks", "--jsn"], "--jsn"),
        (["show"], "Missing argument 'NAME'"),
        (["show", "x", "--kind", "tsak"], "'tsak' is not one of 'task', 'backbone', 'adapter', 'method', 'command'"),
        (["--verbos"], "--verbos"),
        (["taks"], "there is no command 'taks'; did you mean tasks?"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(invoke, args, message):
    result = invoke(*args)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("warning: ")]
    assert result.exit_code == 2
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert message in lines[0]


def test_an_unknown_command_may_be_that_of_a_broken_plugin(fake_site, invoke):
    fake_site.add("broken-nose", "raise ValueError('bad')")
    result = invoke("sniff")
    assert result.exit_code == 2
    assert "warning: 1 plugin could not be loaded: broken-nose; `headstock plugins` says why\n" in result.stderr
    fake_site.add("rotten-nose", "raise ValueError('bad')  # has 'sniff'")
    result = invoke("sniff")
    assert "error: there is no command 'sniff'; " in result.stderr
    assert (
        "; plugin 'rotten-nose' of rotten-nose 1.0, which cannot be loaded (ValueError: bad), mentions it\n"
    ) in result.stderr
    assert "warning: 2 plugins could not be loaded: broken-nose, rotten-nose; `headstock" in result.stderr


def test_a_command_for_another_headstock_is_left_out_alone(commands, invoke):
    newer = {"kind": "command", "name": "made-up-newer", "api_version": 9}
    commands.add(
        "newer", entries=[newer, {"kind": "command", "name": "made-up-many-2", "target": "made_up_commands:many"}]
    )
    result = invoke("made-up-newer")
    assert result.exit_code == 2
    assert "error: there is no command 'made-up-newer': it is brought by plugin 'newer' of newer 1.0 and needs" in (
        result.stderr
    )
    assert "warning: command 'made-up-newer' of newer 1.0 is left out; `headstock plugins` says why" in result.stderr
    assert "Usage:" in invoke("made-up-many-2").output


def test_a_command_of_a_plugin_that_cannot_be_had_is_an_error(commands, invoke):
    gone = invoke("made-up-gone")
    assert gone.exit_code == 2
    assert gone.stderr.startswith(
        "error: command 'made-up-gone' of commanding 1.0: cannot import made_up_gone:run (Mod"
    )
    odd = invoke("made-up-odd")
    assert odd.exit_code == 2
    assert "made_up_commands:not_a_command is not a click command" in odd.stderr


def test_a_plugin_cannot_take_the_name_of_a_core_command(commands, invoke):
    commands.add("thief", entries=[{"kind": "command", "name": "show", "target": "made_up_commands:many"}])
    assert "task" in invoke("show", "text-classification").stdout
    assert "Usage: headstock thief:show " in invoke("thief:show", "--help").stdout
    line = "command 'show' is headstock's own; to use the other, name it thief:show (from thief 1.0)"
    assert line in invoke("plugins").stdout
    help_text = invoke("--help")
    assert f"warning: {line}\n" in help_text.stderr
    assert "  thief:show " in help_text.stdout
    assert invoke("tasks").exit_code == 0


def test_two_plugins_cannot_share_a_command_name(commands, invoke):
    for distribution in ("first", "second"):
        target = "made_up_commands:many"
        commands.add(distribution, entries=[{"kind": "command", "name": "made-up-twice", "target": target}])
    result = invoke("made-up-twice")
    assert result.exit_code == 2
    assert "command 'made-up-twice' is claimed by first 1.0 (plugin 'first') and second 1.0" in result.stderr
    assert "name it first:made-up-twice or second:made-up-twice" in result.stderr
    assert "Usage:" in invoke("second:made-up-twice", "--help").stdout


@pytest.mark.parametrize("argument", ["tasks", "plugins", "--help"])
def test_strict_makes_a_broken_plugin_an_error(fake_site, invoke, argument):
    fake_site.add("aaa-broken", "raise ValueError('bad')")  # named to come before all others
    result = invoke("--strict", argument)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: plugin 'aaa-broken' of aaa-broken 1.0: ValueError: bad\n"


def test_strict_makes_contested_names_an_error(fake_site, invoke, monkeypatch):
    def load_fakes():
        points = metadata.entry_points(group="headstock")
        return load_catalogue([point for point in points if point.dist.name.startswith("nose-")])

    monkeypatch.setattr("headstock.cli.commands.load_catalogue", load_fakes)
    fake_site.add("nose-one", entries=[{"kind": "adapter", "name": "made-up"}])
    assert invoke("--strict", "tasks").exit_code == 0
    fake_site.add("nose-two", entries=[{"kind": "adapter", "name": "made-up"}])
    result = invoke("--strict", "tasks")
    assert result.exit_code == 2
    assert "error: adapter 'made-up' is claimed by nose-one 1.0" in result.stderr


def test_strict_makes_a_taken_command_name_an_error(fake_site, invoke, monkeypatch):
    def load_fakes():
        return load_catalogue(metadata.entry_points(group="headstock", name="thief"))

    monkeypatch.setattr("headstock.cli.commands.load_catalogue", load_fakes)
    fake_site.add("thief", entries=[{"kind": "command", "name": "show", "target": "a:b"}])
    result = invoke("--strict", "tasks")
    assert result.exit_code == 2
    assert "error: command 'show' is headstock's own; to use the other, name it thief:show" in result.stderr


def test_completion_offers_names_without_importing(commands):
    from click.shell_completion import ShellComplete

    offered = ShellComplete(command, {}, "headstock", "_HEADSTOCK_COMPLETE").get_completions([], "made-up-f")
    assert [(item.value, item.help) for item in offered] == [("made-up-fail", "fails as told")]
    assert "made_up_commands" not in sys.modules


def test_non_standalone_mode_hands_errors_to_the_caller():
    with pytest.raises(click.UsageError):
        command.main(["tasks", "--jsn"], standalone_mode=False)


def test_python_dash_m_is_the_same_command(cli):
    result = cli("tasks", "--jsn")
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert "see 'headstock tasks --help'" in result.stderr
    assert "Traceback" not in result.stderr


def start(commands, command_env, how):
    return subprocess.Popen(
        [sys.executable, "-m", "headstock", "made-up-fail", how],
        env=command_env([commands.folder]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, "error: stopped")]
)
def test_a_signal_ends_a_command_in_order(commands, command_env, number, code, said):
    with start(commands, command_env, "sleep") as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == code
    assert errors.strip() == said


def test_a_reader_that_goes_away_is_no_error(commands, command_env):
    with start(commands, command_env, "flood") as process:
        assert process.stdout.readline() == "ready\n"
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(60)
    assert errors == ""


def test_a_bug_shows_its_traceback(commands, cli):
    result = cli("made-up-fail", "bug", pythonpath=[commands.folder])
    assert result.returncode == 1
    whose, *rest = result.stderr.splitlines()
    assert whose == (
        "error: the code of plugin 'commanding' (commanding 1.0) failed: command 'made-up-fail' (a bug; its traceback "
        "follows)"
    )
    assert rest[0].startswith("Traceback")
    assert "ValueError: a bug" in result.stderr


ARGUMENTS = [["predict", "{}"], ["evaluate", "{}", "--data", "a"], ["run", "t", "--out", "{}"]]


@pytest.mark.parametrize("path", ["a\0b", "", "x" * 300])
@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_path_that_can_be_none_is_refused_in_one_line(arguments: list[str], path: str) -> None:
    done = CliRunner().invoke(command, [path if word == "{}" else word for word in arguments])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
