"""The ``headstock`` command: finds commands without importing them and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, TypeGuard

import click
from click.shell_completion import CompletionItem

import headstock
from headstock.cli.commands import Shell
from headstock.cli.output import print_error, warn
from headstock.cli.termination import TerminatedError, end_in_order, exit_code
from headstock.cpu_threads import prepare_threads
from headstock.distributed import launched, leads, leave, quieten, speaks
from headstock_registry import HeadstockError, UnknownNameError

NO_ARGUMENTS = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click raises, from 8.2 on, to show the help of a group called without arguments."""


class LazyGroup(click.Group):
    """A group that imports a command's module only when the command is invoked."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return core's commands, then those of plugins."""
        return list(ctx.ensure_object(Shell).command_summaries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command."""
        return ctx.ensure_object(Shell).command(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with; for an unknown name say what comes near."""
        shell, name = ctx.ensure_object(Shell), args[0]
        if not ctx.resilient_parsing and shell.command(name) is None:
            known = list(shell.command_summaries())
            raise shell.catalogue.missing("command", name, f"there is no command '{name}'", known)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text; what is wrong with commands of plugins goes to standard error."""
        shell = ctx.ensure_object(Shell)
        shell.warn()
        for conflict in shell.conflicts("command").values():
            warn(conflict)
        return super().get_help(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and summaries."""
        with formatter.section("Commands"):
            formatter.write_dl(list(ctx.ensure_object(Shell).command_summaries().items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name."""
        summaries = ctx.ensure_object(Shell).command_summaries()
        names = [CompletionItem(name, help=text) for name, text in summaries.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> None:
        """Run a command. What it returns is dropped: outside of standalone mode click mixes it with exit codes."""
        try:
            super().invoke(ctx)
        except UnknownNameError:
            ctx.ensure_object(Shell).warn()  # a broken plugin may be the one that has the name
            raise

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit: 0 when it went well, 2 for what the user can change, 130 after Ctrl-C,
        143 after SIGTERM.

        An error of the system about a file is one line: no permission, a disk that is full or gone. Anything else that
        is raised is a bug and shows its traceback, and so does a file that a plugin's code misses.
        """
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        shell = Shell()
        try:
            code = super().main(args, prog_name or "headstock", complete_var, standalone_mode=False, obj=shell, **extra)
            _flush()
            sys.exit(code or 0)
        except HeadstockError as error:
            if speaks(error):
                print_error(str(error))
            leave(getattr(error, "exit_code", 2))
        except click.ClickException as error:
            _show(error)
            sys.exit(error.exit_code)
        except click.Abort as error:
            if isinstance(error.__cause__, EOFError):  # click takes it for Ctrl-D, but it may be a truncated file
                raise error.__cause__ from None
            notes = getattr(error.__cause__, "__notes__", [])
            if not notes and isinstance(error.__cause__, TerminatedError):
                notes = ["stopped"]
            for note in notes if leads() else []:
                print_error(note)
            leave(exit_code(error.__cause__))
        except Exception as error:
            said = _whose(error, shell)
            if _is_of_the_system(error) and not (isinstance(error, FileNotFoundError) and said):
                if leads():
                    print_error(f"cannot use {error.filename}: {error.strerror}")
                leave(2)
            if said:
                print_error(f"{'; '.join(said)} (a bug; its traceback follows)")
            raise


def _show(error: click.ClickException) -> None:
    if isinstance(error, NO_ARGUMENTS):
        error.show()
    elif isinstance(error, click.UsageError) and error.ctx is not None:
        print_error(f"{error.format_message()} (see '{error.ctx.command_path} --help')")
    else:
        print_error(error.format_message())


def _is_of_the_system(error: Exception) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.filename is not None and bool(error.strerror)


def _whose(error: Exception, shell: Shell) -> list[str]:
    """Return whose code an exception came from, if it was a plugin's, and which rows were in use."""
    from headstock.attribution import note_plugin, notes

    note_plugin(error, shell.catalogue, shell.invoked)
    return notes(error)


def _flush() -> None:
    """Write out what is left now, where a reader that has gone away (``| head``) can still be taken quietly."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    if not value or ctx.resilient_parsing:
        return
    try:
        click.echo(f"headstock {headstock.__version__}")
    except AttributeError as error:
        raise HeadstockError(str(error)) from None
    ctx.exit()


def _be_strict(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    del param
    ctx.ensure_object(Shell).strict = value


@click.group("headstock", cls=LazyGroup, context_settings={"max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
@click.option(
    "--strict",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_be_strict,
    help="Treat a broken plugin, or a name that two plugins claim, as an error.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Tune pretrained models for many tasks on one engine; a task is a plugin."""
    if launched() and ctx.invoked_subcommand != "run":
        raise HeadstockError(
            f"'headstock {ctx.invoked_subcommand}' is for one process; only 'run' works under torchrun"
        )


def main() -> None:
    """Run the ``headstock`` command."""
    # torch reads this once, before it takes memory: large tensors in large pages. Without it a tenth of a training step
    # on a CPU goes into handing out pages one by one.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    prepare_threads(os.environ)
    end_in_order()
    quieten()
    cli()
