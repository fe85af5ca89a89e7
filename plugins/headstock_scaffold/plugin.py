"""What this plugin brings; read by the catalogue, so nothing heavy is imported here."""

from __future__ import annotations

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return the ``new`` command."""
    return [
        Entry(
            kind="command",
            name="new",
            target="headstock_scaffold.command:new",
            summary="write a new plugin with a task, a backbone or an adapter",
            api_version=API_VERSION,
        )
    ]
