"""Rules by name: what a column's custom property `gla.rule` may say. A name that is not here is refused.

`value` is a name, for a rule on one text column::

    bsn                   nine digits that pass the 11-proef
    rsin                  the same test (an RSIN and a BSN come from one series of fiscal numbers)
    loonheffingennummer   an RSIN or BSN, then L and two digits: 123456782L01
    kvk                   eight digits; the number has no check digit
    yyyymmdd-partial      a date of which the day, or month and day, or all may be unknown and then are zeros:
                          20260230 is none, 20260200, 20260000 and 00000000 are

or a mapping, for a rule that compares with another column of the same row::

    {"rule": "not-before", "column": "begin"}     both columns have logicalType date, and this one is not earlier

Null passes every rule. A rule judges the value as it stands: nothing is trimmed or padded. Expressions only, so that
millions of rows cost no Python per row, and no value can end up in a message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from core.errors import UnusableInput
from schemas.bsn import is_bsn
from schemas.table import Column

Condition = Callable[[pl.Expr], pl.Expr]
_PARTIAL_DATE = r"^[0-9]{4}(0000|(0[1-9]|1[0-2])(0[0-9]|[12][0-9]|3[01]))$"
_ALL_UNKNOWN = "00000000"


@dataclass(frozen=True)
class Rule:
    """`name` is how a verdict calls it; `other` the column that it compares with."""

    name: str
    condition: Condition
    other: str | None = None


def column_rules(column: Column, columns: Mapping[str, Column]) -> list[Rule]:
    """The rules of `column`, one of `columns`; `UnusableInput` for one that is unknown or does not fit."""
    return [_rule(column, columns, value) for value in column.rules]


def _rule(column: Column, columns: Mapping[str, Column], value: Any) -> Rule:
    if isinstance(value, str) and value in _OF_TEXT and column.logical_type == "string":
        return Rule(value, _OF_TEXT[value])
    if isinstance(value, Mapping) and value.get("rule") == "not-before":
        return _not_before(column, columns, value)
    raise UnusableInput(f"column {column.name} has a gla.rule that is unknown for {column.logical_type}")


def _not_before(column: Column, columns: Mapping[str, Column], value: Mapping[str, Any]) -> Rule:
    other = value.get("column")
    if set(value) != {"rule", "column"} or not isinstance(other, str) or other not in columns or other == column.name:
        raise UnusableInput(f"column {column.name} has a gla.rule not-before that does not name another column")
    if not column.logical_type == columns[other].logical_type == "date":
        raise UnusableInput(f"column {column.name} has a gla.rule not-before, which compares two dates")
    return Rule(f"not-before({other})", lambda day: day >= pl.col(other), other)


def _is_loonheffingennummer(text: pl.Expr) -> pl.Expr:
    return text.str.contains(r"^[0-9]{9}L[0-9]{2}$") & is_bsn(text.str.slice(0, 9))


def _is_kvk(text: pl.Expr) -> pl.Expr:
    return text.str.contains(r"^[0-9]{8}$")


def _is_partial_date(text: pl.Expr) -> pl.Expr:
    """Where a part is unknown, so is each smaller part; a day that is known must exist in its month."""
    exists = text.str.ends_with("00") | text.str.strptime(pl.Date, "%Y%m%d", strict=False).is_not_null()
    known_year = ~text.str.starts_with(_ALL_UNKNOWN[:4])
    return (text == _ALL_UNKNOWN) | (text.str.contains(_PARTIAL_DATE) & known_year & exists)


_OF_TEXT: dict[str, Condition] = {
    "bsn": is_bsn,
    "rsin": is_bsn,
    "loonheffingennummer": _is_loonheffingennummer,
    "kvk": _is_kvk,
    "yyyymmdd-partial": _is_partial_date,
}
