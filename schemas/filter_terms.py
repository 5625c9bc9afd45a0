"""A condition of a filter over a column of a known type: every source compares with these very values.

A literal is one that the column can hold, so that Polars and any database agree about it: what lies outside the type,
or between two of its values, becomes a condition that says the same with a value inside. 0.105 against amounts with two
decimals: `lessThan` is `lessOrEqualTo` 0.10, `equals` is `never`; so it is with moments in the unit of their column. A
literal of a float gets the column's width.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeGuard
from zoneinfo import ZoneInfo

import polars as pl

from schemas.exact import EPOCH, PER_SECOND, in_units, limits, whole_numbers

COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "equals": lambda column, value: column == value,
    "notEquals": lambda column, value: column != value,
    "lessThan": lambda column, value: column < value,
    "lessOrEqualTo": lambda column, value: column <= value,
    "greaterThan": lambda column, value: column > value,
    "greaterOrEqualTo": lambda column, value: column >= value,
}
NEVER = "never"  # no row has it; the other operators are those of `gla.filter`
_BELOW = ("lessThan", "lessOrEqualTo")
_ABOVE = ("greaterThan", "greaterOrEqualTo")


@dataclass(frozen=True)
class Term:
    """`values` are Python values of the column's type: one for a comparison, any number for `in`, else none.

    Of a column with time zones they are in UTC, of one without they are naive.
    """

    column: str
    dtype: pl.DataType
    operator: str
    values: tuple[Any, ...] = ()

    def expression(self) -> pl.Expr:
        """True where the condition certainly holds; null or false elsewhere."""
        column, held = pl.col(self.column), _held_as(self.dtype)
        match self.operator:
            case "isNull":
                return column.is_null()
            case "isNotNull":
                return column.is_not_null()
            case "never":
                return pl.lit(value=False)
            case "in":
                return column.is_in(pl.Series(list(self.values), dtype=held).cast(self.dtype).implode())
        return COMPARISONS[self.operator](column, pl.lit(self.values[0], dtype=held).cast(self.dtype))


def term(column: str, dtype: pl.DataType, operator: str, literals: Sequence[Any], zone: str = "UTC") -> Term:
    """The condition `operator` over literals that have the family of `dtype` already; moments are local times, in a
    column with time zones those of `zone`.

    Raises `ValueError` for a local time that does not exist, `OverflowError` for a number beyond all floats.
    """
    if _has_zones(dtype):
        literals = [_local(each, ZoneInfo(zone)) for each in literals]
    stored = whole_numbers(dtype)
    if stored is None:
        return Term(column, dtype, operator, tuple(_as_stored(each, dtype) for each in literals))
    return _whole(column, dtype, operator, [in_units(None, each, dtype) for each in literals], *_range(dtype, stored))


def _whole(
    column: str, dtype: pl.DataType, operator: str, numbers: Sequence[Fraction], lowest: int, highest: int
) -> Term:
    """Over a type that is stored as whole numbers of a unit, from `lowest` to `highest`."""
    held = [int(each) for each in numbers if each.denominator == 1 and lowest <= each <= highest]
    fitting = tuple(_in_type(each, dtype) for each in held)
    if operator == "in":
        return Term(column, dtype, operator, fitting) if fitting else Term(column, dtype, NEVER)
    if fitting:
        return Term(column, dtype, operator, fitting)
    if operator in ("equals", "notEquals"):
        return Term(column, dtype, NEVER if operator == "equals" else "isNotNull")
    number = numbers[0]
    if not lowest <= number <= highest:
        always = (number > highest) if operator in _BELOW else (number < lowest)
        return Term(column, dtype, "isNotNull" if always else NEVER)
    inside = math.floor(number) if operator in _BELOW else math.ceil(number)
    closed = "lessOrEqualTo" if operator in _BELOW else "greaterOrEqualTo"
    return Term(column, dtype, closed, (_in_type(inside, dtype),))


def _range(dtype: pl.DataType, stored: pl.DataType) -> tuple[int, int]:
    if isinstance(dtype, pl.Decimal):
        most = 10 ** (dtype.precision or 38) - 1
        return -most, most
    return limits(stored)


def _in_type(units: int, dtype: pl.DataType) -> int | Decimal | datetime:
    if isinstance(dtype, pl.Datetime):
        moment = EPOCH + timedelta(microseconds=units * 10**6 // PER_SECOND[dtype.time_unit])
        return moment.replace(tzinfo=UTC) if _has_zones(dtype) else moment
    return Decimal(f"{units}E-{dtype.scale}") if isinstance(dtype, pl.Decimal) else units


def _held_as(dtype: pl.DataType) -> pl.DataType:
    """The type of a literal: moments of any time zone are given in UTC."""
    return pl.Datetime(dtype.time_unit, "UTC") if _has_zones(dtype) else dtype


def _has_zones(dtype: pl.DataType) -> TypeGuard[pl.Datetime]:
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is not None


def _as_stored(value: Any, dtype: pl.DataType) -> Any:
    if dtype == pl.Float32:
        return struct.unpack("<f", struct.pack("<f", float(value)))[0]
    return float(value) if dtype.is_float() else value


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The naive `moment` in `zone`, the earlier one where the clock goes back."""
    aware = moment.replace(tzinfo=zone, fold=0)
    if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError("the clock skips this moment")
    return aware
