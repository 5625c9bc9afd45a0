"""The one table of a contract as we read it from ODCS: names, types, options and promises, not yet interpreted.

`Column.name` is the delivered name (ODCS `name`); `Column.source_name` the name in the source (`physicalName`, else
`name`). A name that Polars would read as a selection of several columns ("*", "^...$") is refused here, because it
could widen a delivery beyond the agreement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import UnusableInput

COLUMN_NAME_LENGTH = 200
_TYPES_WITHOUT_COLUMNS = ("object", "array", "map", "vector")


@dataclass(frozen=True)
class Column:
    name: str
    source_name: str
    logical_type: str
    options: Mapping[str, Any] = field(default_factory=dict)
    required: bool = False
    unique: bool = False
    primary_key: int | None = None  # sort key among the columns of the primary key
    enum: tuple[Any, ...] | None = None
    rules: tuple[Any, ...] = ()  # values of customProperties gla.rule, see schemas.rules
    quality: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    quality: tuple[Mapping[str, Any], ...] = ()

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The names of the primary key's columns in their declared order; empty if there is none."""
        keyed = [column for column in self.columns if column.primary_key is not None]
        return tuple(column.name for column in sorted(keyed, key=lambda column: column.primary_key or 0))


def read_table(schema_object: Mapping[str, Any]) -> Table:
    """A `Table` from one ODCS schema object that already obeys the ODCS JSON Schema."""
    columns = tuple(_read_column(each) for each in schema_object.get("properties") or [])
    if not columns:
        raise UnusableInput("the table of the contract has no properties")
    names = [column.name for column in columns]
    if len(set(names)) != len(names):
        raise UnusableInput("the contract names a column twice")
    if schema_object.get("relationships"):
        raise UnusableInput("the table has relationships, which cannot be checked on one file")
    _own_properties(schema_object, allowed=())
    return Table(checked_column_name(schema_object["name"]), columns, tuple(schema_object.get("quality") or []))


def checked_column_name(name: str) -> str:
    """`name`, or `UnusableInput` if it is not one plain column name."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    if not name or len(name) > COLUMN_NAME_LENGTH or not name.isprintable() or name != name.strip() or pattern:
        raise UnusableInput(
            f"a column name must have 1 to {COLUMN_NAME_LENGTH} printable characters and be no pattern such as *"
        )
    return name


def _read_column(raw: Mapping[str, Any]) -> Column:
    name = checked_column_name(raw["name"])
    logical_type = raw.get("logicalType")
    if logical_type is None:
        raise UnusableInput(f"column {name} has no logicalType")
    if logical_type in _TYPES_WITHOUT_COLUMNS:
        raise UnusableInput(f"column {name} has logicalType {logical_type}, and only flat columns are supported")
    if raw.get("semanticType", "column") == "measure":
        raise UnusableInput(f"column {name} is a measure, which is computed and not stored")
    if raw.get("relationships"):
        raise UnusableInput(f"column {name} has relationships, which cannot be checked on one file")
    enum = raw.get("enum")
    return Column(
        name=name,
        source_name=checked_column_name(raw.get("physicalName") or name),
        logical_type=logical_type,
        options=raw.get("logicalTypeOptions") or {},
        required=raw.get("required", False) or raw.get("primaryKey", False),
        unique=raw.get("unique", False),
        primary_key=raw.get("primaryKeyPosition", 0) if raw.get("primaryKey") else None,
        enum=None if enum is None else tuple(each["value"] for each in enum),
        rules=_own_properties(raw, allowed=("gla.rule",)),
        quality=tuple(raw.get("quality") or []),
    )


def _own_properties(raw: Mapping[str, Any], allowed: tuple[str, ...]) -> tuple[Any, ...]:
    """The values of our own (`gla.`) custom properties; an unknown one is refused, others' are left alone."""
    own = [each for each in raw.get("customProperties") or [] if each["property"].startswith("gla.")]
    for each in own:
        if each["property"] not in allowed:
            raise UnusableInput(f"{raw['name']} has a custom property that starts with gla. and is unknown here")
    return tuple(each["value"] for each in own)
