"""A digest of the code that a component runs, so that changed code never reads a stale cache.

Which code that is cannot be told exactly. All of these packages count, each as a whole:

- those of the component's class and its bases;
- those of what the component holds: modules, tokenizers, functions, components of other plugins;
- those that any of these import, at the top of a file or inside a function, and so on.

Of the standard library the Python version counts, of the libraries that Headstock requires their versions. Of any other
installed library that is no plugin its record of installed files counts, which has a digest of each. Everything else,
such as plugins and what is installed editable or lies on the path, counts by all of its source files. Not seen is what
a component finds by name only when it preprocesses (``importlib.import_module`` of a name that it computes); such a
component has to name it in ``fingerprint``.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from torch import Tensor, nn

from headstock.digests import new_digest
from headstock_registry import HeadstockError

IMPORT_NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Distributions that Headstock requires and that are imported by another name."""

MOST_OF_A_CONTAINER = 1000
"""Elements of a list or mapping that are looked at; a longer one is data."""

_IMPORTS = re.compile(
    rb"(?:^|[;:])[ \t]*(?:from[ \t]+(\w+)[\w.]*[ \t]+import\b|import[ \t]+([\w., \t]+)(?=[;#\r\n]|$))", re.MULTILINE
)
"""Import statements, and what looks like one in a docstring, which at worst adds a package."""

_VERSION = re.compile(r"^Version: *(\S+)", re.MULTILINE)
"""Where a distribution's metadata says its version."""


class _Package(NamedTuple):
    """A top-level package or module: a digest of its code, and the top-level names that it imports."""

    digest: bytes
    imports: frozenset[str]


def code_digest(component: object) -> str:
    """Return a digest of the code behind a component, or behind a class alone.

    Raises:
        HeadstockError: the class was not read from a file.
    """
    cls = component if isinstance(component, type) else type(component)
    own = {base.__module__.partition(".")[0] for base in cls.__mro__}
    for top in own:
        if _counts(top) and _package(top) is None:
            raise HeadstockError(f"cannot find the source of module '{top}'; a component must be in a Python file")
    versions = {"python": sys.version, **_library_versions()}
    hasher = new_digest(f"{cls.__module__}.{cls.__qualname__} {versions}\0".encode())
    held = set() if isinstance(component, type) else _held(component)
    for top, package in sorted(_reached(own | held).items()):
        hasher.update(f"package {top}\0".encode() + package.digest)
    return hasher.hexdigest()


def _reached(tops: Iterable[str]) -> dict[str, _Package]:
    """Return the packages of these names, and all that they import, by name."""
    found: dict[str, _Package] = {}
    waiting = list(tops)
    while waiting:
        top = waiting.pop()
        package = _package(top) if top not in found and _counts(top) else None
        if package is not None:
            found[top] = package
            waiting += package.imports
    return found


def _counts(top: str) -> bool:
    """Say whether a package counts by its own, not by the version of Python or of a required library."""
    if top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return False
    return canonicalize_name(IMPORT_NAMES.get(top, top)) not in _library_versions()


def _held(component: object) -> set[str]:
    """Return the top-level packages of all that a component holds."""
    found: set[str] = set()
    seen: set[int] = set()
    waiting: deque[Any] = deque([component])
    while waiting:
        value = waiting.popleft()
        if value is None or isinstance(value, str | bytes | int | float | Tensor) or id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, ModuleType):
            found.add(value.__name__.partition(".")[0])
            continue
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            parts = value.values() if isinstance(value, Mapping) else value
            waiting += [part for part, _ in zip(parts, range(MOST_OF_A_CONTAINER), strict=False)]
        if isinstance(value, MethodType | partial):
            waiting += [value.func] if isinstance(value, partial) else [value.__self__, value.__func__]
            continue
        described = value if isinstance(value, type) else type(value)
        tops = {base.__module__.partition(".")[0] for base in described.__mro__}
        if isinstance(value, FunctionType):
            tops.add((value.__module__ or "").partition(".")[0])
            waiting.append(getattr(value, "__wrapped__", None))
        found |= tops
        # What a library made holds no code but a library's, unless it holds modules.
        if isinstance(value, nn.Module) or any(_counts(top) for top in tops if top):
            waiting += _attributes(value)
    return found - {""}


def _attributes(value: Any) -> list[Any]:
    slots = [getattr(value, name, None) for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ())]
    return [*getattr(value, "__dict__", {}).values(), *slots]


@cache
def _package(top: str) -> _Package | None:
    """Return what is known of a top-level package's code; ``None`` where there is none in Python files."""
    module = sys.modules.get(top)
    try:
        spec = getattr(module, "__spec__", None) or (importlib.util.find_spec(top) if module is None else None)
    except (ImportError, ValueError):
        spec = None
    file = getattr(module, "__file__", None) or getattr(spec, "origin", None)
    roots = getattr(module, "__path__", None) or getattr(spec, "submodule_search_locations", None)
    if module is None and file is None:  # a folder without code of its own, perhaps not even a package
        return None
    installed = _installed(top, file)
    if installed is not None:
        return _Package(installed, frozenset())
    if roots is not None:
        sources = {path.relative_to(root).as_posix(): path for root in map(Path, roots) for path in root.rglob("*.py")}
    else:
        sources = {Path(file).name: Path(file)} if file is not None and Path(file).is_file() else {}
    if not sources:
        return None
    hasher, imports = new_digest(), set[str]()
    for name, path in sorted(sources.items()):
        content = path.read_bytes()
        hasher.update(f"{name}\0".encode() + new_digest(content).digest())
        for origin, names in _IMPORTS.findall(content):
            words = [origin] if origin else [part.split(b".")[0].split() for part in names.split(b",")]
            imports |= {(word if isinstance(word, bytes) else b"".join(word[:1])).decode() for word in words}
    return _Package(hasher.digest(), frozenset(imports - {top, ""}))


def _installed(top: str, file: str | None) -> bytes | None:
    """Return a digest of what was installed of a library; ``None`` for a plugin, and for what is not installed so."""
    try:
        distribution = metadata.distribution(top)
    except (metadata.PackageNotFoundError, ValueError):
        return None
    record = distribution.read_text("RECORD")
    place = Path(str(distribution.locate_file(top)))
    if record is None or file is None or (place not in Path(file).parents and Path(file) != place.with_suffix(".py")):
        return None
    if any(entry.group == "headstock" for entry in distribution.entry_points):
        return None
    return new_digest(f"{_version(distribution)}\0{record}".encode()).digest()


def _version(distribution: metadata.Distribution) -> str:
    """Return a distribution's version without a parse of its whole description, which takes milliseconds."""
    found = _VERSION.search(distribution.read_text("METADATA") or "")
    return found.group(1) if found else distribution.version


@cache
def _library_versions() -> dict[str, str | None]:
    """Return the installed version of each library that headstock requires, without its extras; None if absent."""
    versions: dict[str, str | None] = {}
    for line in metadata.requires("headstock") or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            try:
                version = _version(metadata.distribution(requirement.name))
            except metadata.PackageNotFoundError:
                version = None
            versions[canonicalize_name(requirement.name)] = version
    return dict(sorted(versions.items()))
