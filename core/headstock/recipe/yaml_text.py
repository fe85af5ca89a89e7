"""YAML as people mean it, for recipes, suites and values on the command line.

It is YAML 1.1 without its surprises, so that what PyYAML writes reads as it was: ``no``, ``on``, ``2024-02-30``,
``1:30:00``, ``1_000`` and ``010`` are text until an option of another type makes something of them, keys are always
text, and no key may stand twice. Size, depth and what aliases expand to are bounded.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from headstock.error_text import printable, reason, shown
from headstock.recipe.errors import RecipeError

LARGEST = 2**18
"""Characters that a text may have."""

DEEPEST = 50
"""Levels that lists and mappings may be nested."""

MOST = 100_000
"""Values that a text may hold once its aliases are filled in."""

_PREFIX = "tag:yaml.org,2002:"
_PATTERNS = {
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9]*|0x[0-9a-fA-F]+)"),
    "float": re.compile(
        r"[-+]?[0-9]+\.[0-9]*(?:[eE][-+][0-9]+)?|\.[0-9]+(?:[eE][-+][0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
    "null": re.compile(r"~|null|Null|NULL|"),
    "merge": re.compile(r"<<"),
}
"""What the plain text of a scalar has to be for it to be more than text; each a part of what YAML 1.1 says."""

_TAGS = {_PREFIX + name for name in (*_PATTERNS, "str", "seq", "map")}


def parse_yaml(text: str, where: str, has_lines: bool = True) -> Any:
    """Return what a YAML text says.

    Args:
        text: The text.
        where: What to call it in an error.
        has_lines: Whether an error names the line.

    Raises:
        RecipeError: it is not YAML, has a key twice, a tag that names a type of a program, or is too large or deep.
    """
    if len(text) > LARGEST:
        raise RecipeError(f"{where} has more than {LARGEST:,} characters")
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except _RefusedError as error:
        raise RecipeError(f"{where}{_line(error, has_lines)}: {error.problem}") from error
    except yaml.MarkedYAMLError as error:
        why = printable(" ".join(part for part in (error.problem, error.context) if part))
        raise RecipeError(f"{where}{_line(error, has_lines)} is not YAML: {why}") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{where} is not YAML: {reason(error)}") from error


def _line(error: yaml.MarkedYAMLError, has_lines: bool) -> str:
    mark = error.problem_mark
    return f" line {mark.line + 1}" if has_lines and mark is not None else ""


class _RefusedError(yaml.MarkedYAMLError):
    """Something that is YAML and is not accepted."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem=problem, problem_mark=mark)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._extent: dict[int, tuple[int, int]] = {}
        """Values in a node and levels below it, by the node's id; aliases count for all that they stand for."""
        self._level = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        self._level += 1
        if self._level > DEEPEST:
            raise _RefusedError(f"nested deeper than {DEEPEST} levels", event.start_mark)
        node = super().compose_node(parent, index)
        self._level -= 1
        if node is None:
            return None
        if is_alias and id(node) not in self._extent:
            raise _RefusedError("an alias stands inside of what it stands for", event.start_mark)
        if not is_alias:
            self._extent[id(node)] = self._measured(node)
        size, depth = self._extent[id(node)]
        if depth > DEEPEST:
            raise _RefusedError(f"nested deeper than {DEEPEST} levels", event.start_mark)
        if size > MOST:
            raise _RefusedError(f"more than {MOST:,} values", event.start_mark)
        if node.tag not in _TAGS:
            tag = node.tag.replace(_PREFIX, "!!")
            raise _RefusedError(f"the tag {printable(tag)} is not accepted; write plain values", node.start_mark)
        return node

    def _measured(self, node: yaml.Node) -> tuple[int, int]:
        if isinstance(node, yaml.ScalarNode):
            return 1, 0
        parts = node.value if isinstance(node, yaml.SequenceNode) else [value for _, value in node.value]
        extents = [self._extent[id(part)] for part in parts]
        return 1 + sum(size for size, _ in extents), 1 + max((depth for _, depth in extents), default=0)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        pairs: list[tuple[yaml.Node, yaml.Node]] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _RefusedError("a key must be a word, not a list or a mapping", key.start_mark)
            if key.value in seen:
                raise _RefusedError(f"the key {shown(key.value)} is there twice", key.start_mark)
            seen.add(key.value)
            tag = key.tag if key.tag == f"{_PREFIX}merge" else f"{_PREFIX}str"
            pairs.append((yaml.ScalarNode(tag, key.value, key.start_mark, key.end_mark), value))
        node.value = pairs
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.removeprefix(_PREFIX)
        if isinstance(node, yaml.ScalarNode) and kind in _PATTERNS and not _PATTERNS[kind].fullmatch(node.value):
            raise _RefusedError(f"{shown(node.value)} is not of the type {kind}", node.start_mark)
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:  # more digits than Python reads
            raise _RefusedError(f"{shown(node.value, 20)} cannot be read: {reason(error)}", node.start_mark) from error


for _kind, _pattern in _PATTERNS.items():
    _first = {
        "bool": "tTfF",
        "null": ["~", "n", "N", ""],
        "merge": "<",
        "int": "-+0123456789",
        "float": "-+.0123456789",
    }
    _Loader.add_implicit_resolver(_PREFIX + _kind, re.compile(f"(?:{_pattern.pattern})$"), list(_first[_kind]))
