"""Which commands there are, core's own and those of plugins, and the catalogue that they share.

A command's module is imported only when the command is invoked.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Final, NamedTuple

import click

from headstock.cli.output import warn
from headstock_registry import Catalogue, Entry, NameConflictError, PluginError, UnknownNameError, load_catalogue


class CoreCommand(NamedTuple):
    """Where one of core's own commands is and what it is for."""

    target: str
    summary: str


CORE: Final[Mapping[str, CoreCommand]] = MappingProxyType(
    {
        "run": CoreCommand("headstock.cli.run:run", "tune a pretrained model: a task's name or a recipe, and options"),
        "predict": CoreCommand("headstock.cli.predict:predict", "use the tuned model of a run on new data"),
        "evaluate": CoreCommand("headstock.cli.evaluate:evaluate", "score the tuned model of a run on labelled data"),
        "tasks": CoreCommand("headstock.cli.listing:tasks", "list the installed tasks"),
        "backbones": CoreCommand("headstock.cli.listing:backbones", "list the installed backbones"),
        "adapters": CoreCommand("headstock.cli.listing:adapters", "list the installed adapters"),
        "methods": CoreCommand("headstock.cli.listing:methods", "list the installed training methods"),
        "plugins": CoreCommand(
            "headstock.cli.listing:plugins", "list the installed plugins and what is wrong with them"
        ),
        "show": CoreCommand("headstock.cli.show:show", "show one task, backbone or adapter with all its options"),
        "check": CoreCommand("headstock.cli.check:check", "check a plugin's component against what its kind must do"),
        "schema": CoreCommand("headstock.cli.show:schema", "print the recipe's JSON Schema, for editors"),
    }
)


class Shell:
    """What one invocation of ``headstock`` knows: the installed plugins, and whether it is strict about broken ones.

    It is click's context object; a command takes it by :func:`pass_shell`.

    Attributes:
        strict: A broken plugin or a name that two plugins claim is an error, whatever the command.
        invoked: The plugin's command that was asked for, if it was one.
    """

    def __init__(self) -> None:
        self.strict = False
        self.invoked: Entry | None = None
        self._warned = False

    @cached_property
    def catalogue(self) -> Catalogue:
        """All that is installed, loaded when first asked for.

        Raises:
            PluginError: only with ``strict``, for the first broken plugin or contested name.
        """
        catalogue = load_catalogue()
        if self.strict:
            catalogue.check()
            for shadow in shadows(catalogue).values():
                raise NameConflictError(shadow)
        return catalogue

    def conflicts(self, kind: str) -> dict[str, str]:
        """Return one line for each contested name of a kind, by name."""
        found = {conflict.name: str(conflict) for conflict in self.catalogue.conflicts if conflict.kind == kind}
        return {**shadows(self.catalogue), **found} if kind == "command" else found

    def warn(self) -> None:
        """Say in one line on standard error what could not be loaded, once an invocation."""
        if self._warned:
            return
        self._warned = True
        failed = [plugin.source.plugin for plugin in self.catalogue.failures]
        left_out = [str(entry) for entry in self.catalogue.left_out]
        parts = []
        if failed:
            parts.append(f"{len(failed)} plugin{'s' * (len(failed) > 1)} could not be loaded: {', '.join(failed)}")
        if left_out:
            parts.append(f"{', '.join(left_out)} {'are' if len(left_out) > 1 else 'is'} left out")
        if parts:
            warn(f"{'; '.join(parts)}; `headstock plugins` says why")

    def name(self, entry: Entry) -> str:
        """Return what to call an entry on the command line: its qualified name where the short one means another."""
        if entry.kind == "command" and entry.name in CORE:
            return entry.qualified
        return self.catalogue.name(entry)

    def command_summaries(self) -> dict[str, str]:
        """Return what each command is for: core's own first, then those of plugins by name."""
        brought = {self.name(entry): entry.summary for entry in self.catalogue.entries("command")}
        return {**{name: command.summary for name, command in CORE.items()}, **brought}

    def command(self, name: str) -> click.Command | None:
        """Import a command; ``None`` when there is none of this name.

        Raises:
            NameConflictError: more than one distribution claims the name.
            PluginError: a plugin's command does not import or is not a click command.
        """
        if name in CORE:
            module, attribute = CORE[name].target.split(":")
            core: click.Command = getattr(importlib.import_module(module), attribute)
            return core
        try:
            entry = self.catalogue.get("command", name)
        except UnknownNameError:
            return None
        self.invoked = entry
        return self.import_command(entry)

    def import_command(self, entry: Entry) -> click.Command:
        """Import a plugin's command.

        Raises:
            PluginError: it does not import or is not a click command.
        """
        command = self.catalogue.resolve(entry)
        if not isinstance(command, click.Command):
            raise PluginError(f"{entry} of {entry.source}: {entry.target} is not a click command")
        return command


pass_shell = click.make_pass_decorator(Shell, ensure=True)
"""Decorator for a command that takes the :class:`Shell` as its first argument."""


def shadows(catalogue: Catalogue) -> dict[str, str]:
    """Return one line for each plugin command that has the name of one of core's own, by name."""
    return {
        entry.name: f"{entry} is headstock's own; to use the other, name it {entry.qualified} (from {entry.source})"
        for entry in catalogue.entries("command")
        if entry.name in CORE and entry.source is not None
    }
