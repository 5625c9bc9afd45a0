"""ODCS relationships inside the one table of a delivery: a foreign key may point only to a key of the same table.

Both notations of the standard are read: ``table.column`` (names) and ``schema/<id>/properties/<id>`` (ids). What points
to another table is refused, because a delivery holds one table and nobody could check the promise on it.

A key with a null in it points nowhere and holds, as in SQL (MATCH SIMPLE). Keys are text, integers or dates: of other
types equal values can be stored differently.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import UnusableInput
from schemas.table import Relationship, Table

_KEY_TYPES = ("string", "integer", "date")


@dataclass(frozen=True)
class Reference:
    """In every row the values of `columns`, unless one is null, occur together in `to_columns` in some row.

    Paired columns have the same logical type; integers may be stored in different widths.
    """

    columns: tuple[str, ...]
    to_columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return ",".join(self.columns)

    @property
    def rule(self) -> str:
        return f"foreignKey({','.join(self.to_columns)})"


def references(table: Table) -> tuple[Reference, ...]:
    """Every relationship of the table and its columns; `UnusableInput` for one that cannot be checked."""
    pairs: list[Relationship] = [
        ((column.name,), _columns(table, to)) for column in table.columns for to in column.relationships
    ]
    pairs += [(_columns(table, origin), _columns(table, to)) for origin, to in table.relationships]
    found = [_reference(table, *pair) for pair in pairs]
    if len(set(found)) != len(found):
        raise UnusableInput(f"the table {table.name} has a relationship twice")
    return tuple(found)


def _reference(table: Table, columns: tuple[str, ...], to_columns: tuple[str, ...]) -> Reference:
    reference, by_name = Reference(columns, to_columns), {column.name: column for column in table.columns}
    if len(columns) != len(to_columns) or len(set(columns)) != len(columns):
        raise UnusableInput(f"a relationship of {reference.label} does not pair each column with one column")
    types = [(by_name[own].logical_type, by_name[to].logical_type) for own, to in zip(columns, to_columns, strict=True)]
    if any(own != to or own not in _KEY_TYPES for own, to in types):
        raise UnusableInput(f"a relationship of {reference.label} does not pair text, integers or dates of one type")
    is_unique = len(to_columns) == 1 and by_name[to_columns[0]].unique
    if not is_unique and sorted(to_columns) != sorted(table.primary_key):
        raise UnusableInput(f"a relationship of {reference.label} points to columns that are not unique or primaryKey")
    if columns == to_columns:
        raise UnusableInput(f"a relationship of {reference.label} points to itself, which says nothing")
    return reference


def _columns(table: Table, written: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_resolve(table, each) for each in written)


def _resolve(table: Table, text: str) -> str:
    """The name of the column that a reference means."""
    by_id = "/" in text
    parts = text.removeprefix("/").split("/") if by_id else text.split(".")
    own = f"schema/{table.id}/properties".split("/") if by_id else [table.name]
    if parts[: len(own)] != own:
        raise UnusableInput(
            f"the table {table.name} has a relationship with another table, and a delivery has one table to check it on"
        )
    steps = parts[len(own) :]
    found = [column.name for column in table.columns if steps == [column.id if by_id else column.name]]
    if len(found) != 1:
        raise UnusableInput(f"the table {table.name} has a relationship with something that is not one of its columns")
    return found[0]
