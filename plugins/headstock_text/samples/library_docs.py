"""A text-classification sample: what is a piece of Python's library documentation about?

The first paragraphs of docstrings of the standard library, labelled with the field that their module serves. They
are real sentences by many authors; some give themselves away by one word ("socket", "month"), others only by the
company that words keep. Source files are searched, never imported, so nothing runs and it works without network.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from headstock import DataError

FIELDS = {
    "concurrency": "asyncio concurrent multiprocessing queue sched selectors subprocess threading",
    "data formats": "base64 codecs configparser csv html json pickle pickletools plistlib quopri tomllib xml",
    "developer tools": "ast bdb code doctest inspect pdb profile pydoc timeit trace traceback tracemalloc unittest",
    "files": "_pyio bz2 filecmp fileinput fnmatch glob gzip lzma os pathlib posixpath shutil tarfile tempfile zipfile",
    "network": "email ftplib http imaplib ipaddress poplib smtplib socket socketserver ssl urllib wsgiref xmlrpc",
    "numbers and dates": "_pydatetime _pydecimal _strptime calendar colorsys datetime fractions numbers random "
    "statistics zoneinfo",
}
"""Modules and packages by the label of their docstrings; those that this Python has not are left out."""

MOST = 250
"""How many texts of a label are taken, so that labels are about even."""

SHORTEST, LONGEST = 5, 40
"""Bounds on the number of words of a text; longer ones are cut."""

BOUNDS = {"train": 70, "validation": 85, "test": 100}
"""Per cent of the texts at which each split ends."""


@functools.cache
def splits() -> dict[str, list[dict[str, str]]]:
    """Return rows ``{"text", "label"}`` by split, the same ones for the same Python.

    A text's split comes from its digest, so that it is in only one, whatever other texts there are.

    Raises:
        DataError: this Python comes without the source of its library.
    """
    labels = _texts()
    if len(set(labels.values())) < len(FIELDS):
        raise DataError("this Python has no source of its standard library, from which the sample is made; name data")
    rows: dict[str, list[dict[str, str]]] = {name: [] for name in BOUNDS}
    taken = dict.fromkeys(FIELDS, 0)
    for digest, text in sorted((hashlib.blake2b(text.encode()).digest(), text) for text in labels):
        label = labels[text]
        if taken[label] < MOST:
            taken[label] += 1
            per_cent = int.from_bytes(digest[-4:], "big") % 100
            rows[next(name for name, bound in BOUNDS.items() if per_cent < bound)].append(
                {"text": text, "label": label}
            )
    return rows


def _texts() -> dict[str, str]:
    """Return texts with their label; a text that several fields have is left out."""
    library = Path(sysconfig.get_path("stdlib"))
    labels: dict[str, str] = {}
    shared = set()
    for label, names in FIELDS.items():
        for name in names.split():
            for text in _paragraphs(library, name):
                if labels.setdefault(text, label) != label:
                    shared.add(text)
    return {text: label for text, label in labels.items() if text not in shared}


def _paragraphs(library: Path, name: str) -> Iterator[str]:
    folder = library / name
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [library / f"{name}.py"]
    for file in files:
        if {"test", "tests"} & set(file.relative_to(library).parts) or not file.is_file():
            continue
        for documentation in _docstrings(file.read_text("utf-8")):
            words = documentation.split("\n\n")[0].split()
            if len(words) >= SHORTEST:
                yield " ".join(words[:LONGEST])


_NOTHING = r"(?:[ \t]*(?:\#[^\n]*)?\n)*"
_DOCSTRING = re.compile(
    rf"""
    :[ \t]*(?:\#[^\n]*)?\n {_NOTHING}  # the top of a block, and comments
    [ \t]* ([rR]?(?:
        \"{{3}} [^"\\]* (?: (?: \\. | "(?!"") ) [^"\\]* )* \"{{3}}
      | \'{{3}} [^'\\]* (?: (?: \\. | '(?!'') ) [^'\\]* )* \'{{3}}
      | "[^"\\\n]+" | '[^'\\\n]+'
    ))
    [ \t]* (?:\#[^\n]*)? $
    """,
    re.VERBOSE | re.MULTILINE | re.DOTALL,
)


def _docstrings(source: str) -> Iterator[str]:
    # Parsing whole files would take longer than all the rest of a short run.
    for literal in _DOCSTRING.findall(f":\n{source}"):  # a file is a block too
        yield inspect.cleandoc(ast.literal_eval(literal))
