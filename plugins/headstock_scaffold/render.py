"""Writes a plugin from its templates."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from headstock import HeadstockError, new_directory

SUFFIX = ".jinja"


def render(kind: str, values: Mapping[str, str], target: Path) -> list[Path]:
    """Write all templates of a kind, and those that all kinds share, to a new folder; return what was written.

    Names of files are templates too.

    Raises:
        HeadstockError: ``target`` exists, or cannot be written.
    """
    if target.exists() or target.is_symlink():
        raise HeadstockError(f"{target} exists already; nothing was written (choose another name, or --out FOLDER)")
    environment = Environment(
        loader=PackageLoader("headstock_scaffold"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,
    )
    environment.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)  # as TOML and Python write it
    written = []
    with new_directory(target) as beside:
        for name in environment.list_templates(filter_func=lambda each: each.startswith(("common/", f"{kind}/"))):
            relative = environment.from_string(name.split("/", 1)[1].removesuffix(SUFFIX)).render(values)
            path = beside / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(environment.get_template(name).render(values), encoding="utf-8")
            written.append(target / relative)
    return sorted(written)
