"""All that the compiler refuses in one table, by building it up: each part that is refused is told and left out.

The compiler stops at the first thing that it does not understand. Here every column is compiled without its promises,
and then they are added one by one; what others a promise needs (another column that a rule names) stand beside it. So
every sentence is the compiler's own, and the place is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.lint.raw import dicts
from schemas.odcs import Path
from schemas.table import read_table

_IDENTITY = ("id", "name", "logicalType", "unique", "primaryKey", "primaryKeyPosition", "items", "properties")
_BARE = (*_IDENTITY, "physicalName", "required", "semanticType", "map")
_FIRST_OPTIONS = ("timezone", "defaultTimezone", "format")  # how the others are read
_NAMES = ("name", "id")
_LISTS = ("customProperties", "quality", "relationships")
_NAMES_NO_COLUMN = {"logicalType": "string"}

Part = tuple[Path, dict[str, Any]]  # one promise: where it stands, and as an owner that has only it
Raw = Mapping[str, Any]


def refusals(table: Raw, path: Path, broken: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Each refused part of a schema object; parts at or above the `broken` paths are passed over."""
    if not isinstance(table.get("name"), str) or not isinstance(table.get("properties"), list):
        if "properties" not in table and path not in broken:
            yield path, "the table of the contract has no properties"
        return
    below = [other[len(path) :] for other in broken if other[: len(path)] == path and len(other) > len(path)]
    if not below and (whole := _refusal(table)) is None:
        return
    found = list(_in_parts(table, below))
    yield from ((path + inner, sentence) for inner, sentence in found)
    if not below and not found and whole is not None:
        yield path, whole


def _in_parts(table: Raw, broken: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    built: list[Raw] = []
    for at, column in dicts(table, "properties"):
        path: Path = ("properties", at)
        if _touches(path, broken):
            built += [_NAMES_NO_COLUMN | {"name": column["name"]}] if isinstance(column.get("name"), str) else []
            continue
        kept, sentences = _column(table, column)
        built.append(kept)
        yield from ((path + inner, sentence) for inner, sentence in sentences)
    bare = {key: table[key] for key in ("id", "name") if key in table} | {"properties": built}
    if built and (sentence := _refusal(bare)) is not None:
        yield (), sentence
    elif built:
        parts = [part for part in _listed(table) if not _touches(part[0], broken)]
        yield from _add(bare, parts, lambda owner: owner)[1]


def _column(table: Raw, column: Raw) -> tuple[Raw, list[tuple[Path, str]]]:
    """The column without what is refused, and what that is."""
    others = [each for each in _named_by(table, column) if each is not column]
    beside = [stub for each in others if (stub := _stub(each)) is not None]

    def in_table(owner: Raw) -> Raw:
        kept = {key: table[key] for key in ("id", "name") if key in table}
        return kept | {"properties": [owner, *beside]}

    bare = {key: column[key] for key in _BARE if key in column}
    if (sentence := _refusal(in_table(bare))) is not None:
        return _NAMES_NO_COLUMN | {"name": column["name"]}, [((), sentence)]
    return _add(bare, [*_options(column), *_listed(column)], in_table)


def _add(owner: Raw, parts: Sequence[Part], in_table: Any) -> tuple[Raw, list[tuple[Path, str]]]:
    """Add the parts one by one, and leave out those that are refused."""
    sentences: list[tuple[Path, str]] = []
    for path, part in parts:
        grown = {**owner, **{key: _joined(owner.get(key), value) for key, value in part.items()}}
        sentence = _refusal(in_table(grown))
        if sentence is None:
            owner = grown
        else:
            sentences.append((path, sentence))
    return owner, sentences


def _joined(old: Any, new: Any) -> Any:
    if isinstance(old, dict):
        return {**old, **new}
    return [*old, *new] if isinstance(old, list) else new


def _options(column: Raw) -> Iterator[Part]:
    options = column.get("logicalTypeOptions") or {}
    for key in sorted(options, key=lambda key: key not in _FIRST_OPTIONS):
        yield ("logicalTypeOptions", key), {"logicalTypeOptions": {key: options[key]}}
    if column.get("enum"):
        yield ("enum",), {"enum": column["enum"]}


def _listed(owner: Raw) -> Iterator[Part]:
    for key in _LISTS:
        for at, each in dicts(owner, key):
            yield (key, at), {key: [each]}


def _named_by(table: Raw, column: Raw) -> list[Raw]:
    """The other columns that a column's promises may name."""
    words = {word for key in _LISTS for _, each in dicts(column, key) for word in _words(each)}
    columns = [each for _, each in dicts(table, "properties")]
    return [each for each in columns if any(isinstance(each.get(key), str) and each[key] in words for key in _NAMES)]


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from value.replace("/", ".").split(".")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _words(child)


def _stub(column: Raw) -> Raw | None:
    """As much of another column as can be compiled: what a rule needs to know of it."""
    for keys in (_IDENTITY, ("name", "logicalType")):
        stub = {key: column[key] for key in keys if key in column}
        if _refusal({"name": "t", "properties": [stub]}) is None:
            return stub
    return None


def _refusal(table: Raw) -> str | None:
    try:
        compile_table(read_table(table))
    except (UnusableInput, KeyError, TypeError, AttributeError) as error:  # a stub may not even obey ODCS
        return str(error) if isinstance(error, UnusableInput) else "does not obey ODCS"
    return None


def _touches(path: Path, broken: Sequence[Path]) -> bool:
    return any(other[: len(path)] == path for other in broken)
