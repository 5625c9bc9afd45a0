"""The one table of a contract as we read it from ODCS: names, types, options and promises, not yet interpreted.

`Column.name` is the delivered name (ODCS `name`); `Column.source_name` the name in the source (`physicalName`, else
`name`). A name that Polars would read as a selection of several columns ("*", "^...$") is refused here, because it
could widen a delivery beyond the agreement. `docs/contract.md` says of every ODCS key whether it is enforced, refused
or documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import UnusableInput

COLUMN_NAME_LENGTH = 200
MOST_COLUMNS = 500  # of one table, nested ones too; pandera takes quadratic time for them, seconds here
NESTING_LEVELS = 8  # objects and arrays inside each other; a deeper one is better delivered as columns
ITEMS = "[]"  # stands after the name of an array for its items: telefoons[]
_TYPES_WITHOUT_COLUMNS = ("map", "vector")
_OF_COLUMNS_ONLY = ("primaryKey", "unique", "relationships", "quality")

Relationship = tuple[tuple[str, ...], tuple[str, ...]]  # references (from, to) as the contract writes them


@dataclass(frozen=True)
class Column:
    """A column, or what stands in one: a property of an object has the name `adres.postcode`, items `telefoons[]`."""

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
    code_list: str | None = None  # value of customProperty gla.codeList, see schemas.codelists
    id: str | None = None
    relationships: tuple[tuple[str, ...], ...] = ()  # the `to` of each, see schemas.relationships
    items: Column | None = None  # of an array
    properties: Mapping[str, Column] = field(default_factory=dict)  # of an object, by their own names

    @property
    def is_nested(self) -> bool:
        return self.logical_type in ("array", "object")

    def walk(self) -> Iterator[Column]:
        """The column and everything that stands in it, in the contract's order."""
        yield self
        for inner in (self.items, *self.properties.values()):
            if inner is not None:
                yield from inner.walk()


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[Column, ...]
    quality: tuple[Mapping[str, Any], ...] = ()
    id: str | None = None
    relationships: tuple[Relationship, ...] = ()
    physical_name: str | None = None

    @property
    def source_name(self) -> str:
        """What the table is called in a database."""
        return self.physical_name or self.name

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The names of the primary key's columns in their declared order; empty if there is none."""
        keyed = [column for column in self.columns if column.primary_key is not None]
        return tuple(column.name for column in sorted(keyed, key=lambda column: column.primary_key or 0))


def read_table(schema_object: Mapping[str, Any]) -> Table:
    """A `Table` from one ODCS schema object that already obeys the ODCS JSON Schema."""
    name = checked_delivered_name(schema_object["name"])
    columns = tuple(_read_property(each, "", 1) for each in schema_object.get("properties") or [])
    if not columns:
        raise UnusableInput("the table of the contract has no properties")
    if sum(1 for column in columns for _ in column.walk()) > MOST_COLUMNS:
        raise UnusableInput(f"the table has more than {MOST_COLUMNS} columns and nested values")
    _distinct(columns)
    _own_properties(schema_object, name)
    relationships = schema_object.get("relationships") or []
    return Table(
        name=name,
        columns=columns,
        quality=tuple(schema_object.get("quality") or []),
        id=schema_object.get("id"),
        relationships=tuple((_references(each["from"]), _references(each["to"])) for each in relationships),
        physical_name=schema_object.get("physicalName"),
    )


def checked_column_name(name: str) -> str:
    """`name`, or `UnusableInput` if it is not one plain column name."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    if not name or len(name) > COLUMN_NAME_LENGTH or not name.isprintable() or name != name.strip() or pattern:
        raise UnusableInput(
            f"a column name must have 1 to {COLUMN_NAME_LENGTH} printable characters and be no pattern such as *"
        )
    return name


def checked_delivered_name(name: str) -> str:
    """`name` for a table or column in a delivery, where a recipient may make a file of it: no part of a path."""
    if set("/\\") & set(name) or name in (".", ".."):
        raise UnusableInput("a table or column has a name with / or \\, which could be read as a path: rename it")
    return checked_column_name(name)


def _read_property(raw: Mapping[str, Any], prefix: str, level: int) -> Column:
    own_name = checked_delivered_name(raw["name"])
    source_name = checked_column_name(raw.get("physicalName") or own_name)
    if level > 1 and source_name != own_name:
        raise UnusableInput(f"column {prefix}{own_name} has a physicalName, and only whole columns can be renamed")
    return _read(raw, prefix + own_name, source_name, level)


def _read(raw: Mapping[str, Any], name: str, source_name: str, level: int) -> Column:
    """One property, or the items of an array, with what stands in it."""
    logical_type = _checked_type(raw, name, level)
    enum = raw.get("enum")
    own = _own_properties(raw, name, "gla.rule", "gla.codeList")
    if len(own["gla.codeList"]) > 1 or not all(isinstance(each, str) for each in own["gla.codeList"]):
        raise UnusableInput(f"column {name} has a gla.codeList that is not one text such as name/version")
    return Column(
        name=name,
        source_name=source_name,
        logical_type=logical_type,
        options=raw.get("logicalTypeOptions") or {},
        required=raw.get("required", False) or raw.get("primaryKey", False),
        unique=raw.get("unique", False),
        primary_key=raw.get("primaryKeyPosition", 0) if raw.get("primaryKey") else None,
        enum=None if enum is None else tuple(each["value"] for each in enum),
        rules=own["gla.rule"],
        quality=tuple(raw.get("quality") or []),
        code_list=next(iter(own["gla.codeList"]), None),
        id=raw.get("id"),
        relationships=tuple(_references(each["to"]) for each in raw.get("relationships") or []),
        items=_read_items(raw, name, level) if logical_type == "array" else None,
        properties=_read_properties(raw, name, level) if logical_type == "object" else {},
    )


def _checked_type(raw: Mapping[str, Any], name: str, level: int) -> str:
    logical_type = raw.get("logicalType")
    if not isinstance(logical_type, str):
        raise UnusableInput(f"column {name} has no logicalType")
    if logical_type in _TYPES_WITHOUT_COLUMNS:
        raise UnusableInput(f"column {name} has logicalType {logical_type}, which is not supported")
    if level > NESTING_LEVELS:
        raise UnusableInput(f"column {name} lies deeper than {NESTING_LEVELS} levels")
    if raw.get("semanticType", "column") == "measure":
        raise UnusableInput(f"column {name} is a measure, which is computed and not stored")
    inner = next((key for key in _OF_COLUMNS_ONLY if level > 1 and raw.get(key)), None)
    if inner is not None:
        raise UnusableInput(f"column {name} has {inner}, which only a whole column can have")
    if raw.get("properties") and logical_type != "object":
        raise UnusableInput(f"column {name} has properties, which only an object can have")
    return logical_type


def _read_items(raw: Mapping[str, Any], name: str, level: int) -> Column:
    if not raw.get("items"):
        raise UnusableInput(f"column {name} is an array without items, so the type of its values is unknown")
    return _read(raw["items"], name + ITEMS, name + ITEMS, level + 1)


def _read_properties(raw: Mapping[str, Any], name: str, level: int) -> Mapping[str, Column]:
    inner = tuple(_read_property(each, f"{name}.", level + 1) for each in raw.get("properties") or [])
    if not inner:
        raise UnusableInput(f"column {name} is an object without properties, so what stands in it is unknown")
    _distinct(inner)
    return {each.name.removeprefix(f"{name}."): each for each in inner}


def _distinct(columns: tuple[Column, ...]) -> None:
    """Refuse a name used twice, also as the place of a nested value: a verdict would mix the two."""
    names = [place.name for column in columns for place in column.walk()]
    if len(set(names)) != len(names):
        raise UnusableInput("the contract names a column twice")


def _references(raw: str | list[str]) -> tuple[str, ...]:
    return (raw,) if isinstance(raw, str) else tuple(raw)


def _own_properties(raw: Mapping[str, Any], name: str, *allowed: str) -> dict[str, tuple[Any, ...]]:
    """The values of our own (`gla.`) custom properties; an unknown one is refused, others' are left alone."""
    values: dict[str, tuple[Any, ...]] = dict.fromkeys(allowed, ())
    for each in raw.get("customProperties") or []:
        if not each["property"].strip().lower().startswith("gla."):  # a misspelt gla.rule is no other's property
            continue
        if each["property"] not in allowed:
            raise UnusableInput(f"{name} has a custom property that starts with gla. and is unknown here")
        values[each["property"]] += (each["value"],)
    return values
