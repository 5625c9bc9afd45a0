"""Look into a document that may not obey ODCS: what is not of the expected form is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.odcs import Path


def dicts(owner: Mapping[str, Any], key: str) -> list[tuple[int, Mapping[str, Any]]]:
    """The mappings in the list under `key`, each with its position."""
    value = owner.get(key)
    return [(at, each) for at, each in enumerate(value) if isinstance(each, dict)] if isinstance(value, list) else []


def text(owner: Mapping[str, Any], key: str) -> str:
    """The text under `key` without spaces around it; empty if there is none."""
    value = owner.get(key)
    return value.strip() if isinstance(value, str) else ""


def custom(owner: Mapping[str, Any], name: str) -> list[Any]:
    """The values of the custom property `name`."""
    return [each.get("value") for _, each in dicts(owner, "customProperties") if each.get("property") == name]


def columns(owner: Mapping[str, Any], path: Path, prefix: str = "") -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    """Every column below a table or column, nested ones too, with its path and its name as a verdict calls it."""
    for at, column in dicts(owner, "properties"):
        name = f"{prefix}{text(column, 'name') or '?'}"
        place = (*path, "properties", at)
        yield place, name, column
        yield from _inside(column, place, name)


def _inside(column: Mapping[str, Any], path: Path, name: str) -> Iterator[tuple[Path, str, Mapping[str, Any]]]:
    yield from columns(column, path, f"{name}.")
    items = column.get("items")
    if isinstance(items, dict):
        yield (*path, "items"), f"{name}[]", items
        yield from _inside(items, (*path, "items"), f"{name}[]")
