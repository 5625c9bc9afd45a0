r"""Read a YAML or JSON document that somebody else wrote, within limits, into plain JSON values.

YAML is read from its event stream, iteratively: no constructor runs, so object tags cannot, and depth and size are
bounded before anything is built on them. Plain scalars follow the YAML 1.2 core schema: `no` is the text "no" (in
YAML 1.1 it is false, which breaks country codes), `2026-01-01` stays text, `1:30` is not a number.
Every defect is `UnusableInput` with one sentence that names a line, never a value.

>>> read_document(b"country: no\nsince: 2026-01-01\n", "the contract")
{'country': 'no', 'since': '2026-01-01'}
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from core.canonical import parse_json
from core.errors import UnusableInput

MAX_BYTES = 2 * 1024 * 1024  # the largest public ODCS example has 0.2 MB
MAX_DEPTH = 40  # ODCS itself needs about 12; the JSON Schema check recurses per level
MAX_NODES = 100_000  # after aliases are expanded, so that an alias bomb stops early; that example has 6,000

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_INTEGER_DIGITS = 40  # more is no amount or bound, and int() of long text is slow
_TOO_LARGE = 10**40  # the same for JSON, where Python refuses more than 4,300 digits by itself
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    text: text.lower() == "true" for text in ("true", "True", "TRUE", "false", "False", "FALSE")
}


def read_document(data: bytes, what: str) -> dict[str, Any]:
    """The mapping in `data`; `what` names the document in errors, for example "the contract"."""
    if len(data) > MAX_BYTES:
        raise UnusableInput(f"{what} is larger than {MAX_BYTES // 1024} KiB")
    value = parse_json(data, what) if data.lstrip()[:1] == b"{" else _read_yaml(data, what)
    if not isinstance(value, dict):
        raise UnusableInput(f"{what} is not a mapping")
    _check_values(value, what)
    return value


def _check_values(document: Any, what: str) -> None:
    """Bound depth and number of values, and each value: needed for JSON, and cheap for YAML."""
    level, nodes, depth = [document], 0, 0
    while level:
        nodes, depth = nodes + len(level), depth + 1
        if depth > MAX_DEPTH:
            raise UnusableInput(f"{what} is nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_NODES:
            raise UnusableInput(f"{what} holds more than {MAX_NODES} values")
        if not all(map(_is_plain, level)):
            raise UnusableInput(f"{what} holds a number that is too large, or text that is no Unicode")
        level = [child for node in level for child in _children(node)]


def _children(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.values()
    elif isinstance(node, list):
        yield from node


def _is_plain(node: Any) -> bool:
    """JSON can write 1e999 and half a surrogate pair; neither has a canonical form that could be signed."""
    if isinstance(node, dict):
        return all(map(_is_plain, node))  # its keys
    if isinstance(node, int):
        return abs(node) < _TOO_LARGE
    if isinstance(node, float):
        return math.isfinite(node)
    return not isinstance(node, str) or node.isascii() or not _HALF_PAIR.search(node)


def _read_yaml(data: bytes, what: str) -> Any:
    mark: Any = None
    try:
        return _Builder(what).build(data.decode("utf-8-sig"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
    except (yaml.YAMLError, ValueError):
        pass
    raise UnusableInput(f"{what} is not valid YAML in UTF-8" + (f" (line {mark.line + 1})" if mark is not None else ""))


class _Builder:
    """Builds JSON values from YAML events with a stack of its own."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._stack: list[tuple[Any, str | None]] = []  # open collections, each with the anchor it carries
        self._keys: list[str | None] = []  # for each open mapping: the key that waits for its value
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._counts: list[int] = []  # node counter at the start of each open collection
        self._root: Any = None

    def build(self, text: str) -> Any:
        documents = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse("holds more than one YAML document", event)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self._close(event)
        return self._root

    def _refuse(self, reason: str, event: yaml.Event) -> UnusableInput:
        mark: Any = event.start_mark
        return UnusableInput(f"{self._what} {reason} (line {mark.line + 1})")

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise self._refuse("refers to an anchor that is not complete", event)
        value, size = self._anchors[event.anchor]
        self._count(size, event)
        self._add(value, event)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._refuse("has a YAML tag, which is not allowed", event)
        self._count(1, event)
        plain = event.implicit[0]  # neither quoted nor tagged
        key_expected = bool(self._stack) and isinstance(self._stack[-1][0], dict) and self._keys[-1] is None
        value = event.value if key_expected or not plain else self._resolve(event)
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, event)

    def _resolve(self, event: yaml.ScalarEvent) -> Any:
        text = event.value
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        if _INTEGER.fullmatch(text) and len(text) <= _INTEGER_DIGITS:
            return int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isfinite(number):
                return number
            raise self._refuse("holds a number that is too large", event)
        return text

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag not in (None, "!"):
            raise self._refuse("has a YAML tag, which is not allowed", event)
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(f"is nested deeper than {MAX_DEPTH} levels", event)
        self._counts.append(self._nodes)
        self._count(1, event)
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._stack.append((value, event.anchor))
        if isinstance(value, dict):
            self._keys.append(None)

    def _close(self, event: yaml.Event) -> None:
        value, anchor = self._stack.pop()
        if isinstance(value, dict):
            self._keys.pop()
        started = self._counts.pop()
        if anchor:
            self._anchors[anchor] = (value, self._nodes - started)
        self._add(value, event)

    def _count(self, nodes: int, event: yaml.Event) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._refuse(f"holds more than {MAX_NODES} values", event)

    def _add(self, value: Any, event: yaml.Event) -> None:
        if not self._stack:
            self._root = value
            return
        parent = self._stack[-1][0]
        if isinstance(parent, list):
            parent.append(value)
        elif self._keys[-1] is None:
            if not isinstance(value, str):
                raise self._refuse("has a key that is not text", event)
            if value in parent:
                raise self._refuse("has the same key twice in one mapping", event)
            self._keys[-1] = value
        else:
            parent[self._keys[-1]] = value
            self._keys[-1] = None
