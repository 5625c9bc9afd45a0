"""The agreement's term `gla.mutations`: a delivery tells only what changed since the one before it.

`column` is delivered and never read: it says of every row what happened to it, with the codes of its enum. They are
those of the code list `mutatie` unless the term names others::

    {"column": "code_mutatie"}                                                    N, W and V
    {"column": "mutation", "new": "I", "changed": "U", "ended": "D"}

A row is known by the primary key. Of a row that ended only its key is told, so no other column may be `required`, or
have a quality rule that a delivery of ended rows alone would break. Rows that stay as they are are not told, so nothing
may be promised that takes all rows to hold: a relationship, or a total over the delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import UnusableInput
from schemas.logical_types import canonical_dtype
from schemas.quality import Metric, quality_rules
from schemas.rules import totals
from schemas.table import Column, Table

_CODES = {"new": "N", "changed": "W", "ended": "V"}
_ALL = 10**6  # rows of a delivery in which every value that may be null is


@dataclass(frozen=True)
class MutationsTerm:
    """`key` are the columns of the primary key, `column` the one that holds `new`, `changed` or `ended`."""

    column: str
    new: str
    changed: str
    ended: str
    key: tuple[str, ...]


def mutations_term(table: Table, value: Any) -> MutationsTerm:
    """The term as a document writes it; `UnusableInput` says what of it, or of the table, does not fit."""
    if not isinstance(value, dict) or "column" not in value or set(value) - {"column", *_CODES}:
        raise UnusableInput("column is required, and besides it only new, changed and ended are known")
    codes = {**_CODES, **{name: value[name] for name in _CODES if name in value}}
    column = next((each for each in table.columns if each.name == value["column"]), None)
    if column is None or column.logical_type != "string" or column.enum is None:
        raise UnusableInput("column must be one of the contract, of type string, with an enum")
    if len(set(map(repr, codes.values()))) < len(codes) or not all(code in column.enum for code in codes.values()):
        raise UnusableInput(f"the codes for {', '.join(codes)} must differ, and be in the enum of column {column.name}")
    _require_key(table, column)
    _require_room_for_ended(table, column)
    _require_nothing_of_all_rows(table)
    return MutationsTerm(column.name, **codes, key=table.primary_key)


def _require_key(table: Table, column: Column) -> None:
    if not table.primary_key:
        raise UnusableInput("the contract must have a primaryKey: a row is known by it")
    if column.name in table.primary_key:
        raise UnusableInput(f"column {column.name} may not be part of the primaryKey: it differs from time to time")


def _require_room_for_ended(table: Table, column: Column) -> None:
    given = {*table.primary_key, column.name}
    for each in table.columns:
        if each.name not in given and each.required:
            raise UnusableInput(f"column {each.name} may not be required: of a row that ended only the key is told")
    for metric in quality_rules(table, {each.name: canonical_dtype(each) for each in table.columns})[0]:
        if metric.column not in given and _forbids_nulls(metric):
            raise UnusableInput(
                f"column {metric.column} may not have the quality rule {metric.rule} {metric.threshold}: "
                "of a row that ended only the key is told"
            )


def _forbids_nulls(metric: Metric) -> bool:
    counts_nulls = metric.rule in ("nullValues", "missingValues")
    return counts_nulls and metric.threshold.severity == "error" and not metric.threshold.holds(_ALL, _ALL)


def _require_nothing_of_all_rows(table: Table) -> None:
    pointing = [each.name for each in table.columns if each.relationships]
    if table.relationships or pointing:
        raise UnusableInput("the contract may have no relationships: what a row points to may have stayed as it is")
    if added := totals(table.columns):
        raise UnusableInput(
            f"column {added[0].column} may not have the rule {added[0].rule}: only a part of the rows is told"
        )
