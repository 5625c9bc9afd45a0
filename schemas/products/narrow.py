"""A product's table with fewer columns, as an agreement gets it: with every promise that still can be kept.

A recipient gets no more than it needs, so that most agreements leave columns out. A promise about a column that is left
out goes with it: a comparison with it, and a primary key of which it is a part, since the rest of the key may repeat.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from core.errors import UnusableInput


def narrowed(table: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The ODCS schema object `table` with the columns `names` only, in the product's order."""
    columns = table["properties"]
    unknown = [name for name in names if name not in {each["name"] for each in columns}]
    if unknown:
        raise UnusableInput(f"the product has no column {', '.join(unknown)}: run gla data products NAME")
    key_is_whole = all(each["name"] in names for each in columns if each.get("primaryKey"))
    kept = [_column(each, names, key_is_whole=key_is_whole) for each in columns if each["name"] in names]
    return _with(table, properties=kept, quality=[each for each in table.get("quality") or [] if _counts(each, names)])


def _column(column: Mapping[str, Any], names: Container[str], *, key_is_whole: bool) -> dict[str, Any]:
    own = [each for each in column.get("customProperties") or [] if _compares(each["value"], names)]
    kept = _with(column, customProperties=own)
    if key_is_whole or not column.get("primaryKey"):
        return kept
    return _with(kept, primaryKey=None, primaryKeyPosition=None, required=True)


def _compares(rule: Any, names: Container[str]) -> bool:
    """Whether all columns that a rule compares with are there."""
    if not isinstance(rule, Mapping):
        return True
    others = [*([rule["column"]] if "column" in rule else []), *rule.get("columns", ())]
    return all(name in names for name in others)


def _counts(rule: Mapping[str, Any], names: Container[str]) -> bool:
    """Whether all columns that a quality rule of the table counts are there."""
    return all(name in names for name in (rule.get("arguments") or {}).get("properties", ()))


def _with(document: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
    """The document with some members changed; those that become empty are left out."""
    whole = {**document, **changed}
    return {key: value for key, value in whole.items() if key not in changed or value}
