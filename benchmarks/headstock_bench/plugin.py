"""What this plugin brings; read by the catalogue, so nothing heavy is imported here."""

from __future__ import annotations

from headstock import API_VERSION, Entry, hookimpl


@hookimpl
def headstock_entries() -> list[Entry]:
    """Return the ``bench`` command."""
    return [
        Entry(
            kind="command",
            name="bench",
            target="headstock_bench.command:bench",
            summary="run a suite of recipes over several seeds and tabulate before and after",
            api_version=API_VERSION,
        )
    ]
