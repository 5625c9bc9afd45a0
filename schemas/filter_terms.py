"""A condition of a filter over a column of a known type: every source compares with these very values.

A literal is one that the column can hold, so that Polars and any database agree about it: what lies outside the type,
or between two of its values, becomes a condition that says the same with a value inside. 0.105 against amounts with two
decimals: `lessThan` is `lessOrEqualTo` 0.10, `equals` is `never`. A literal of a float gets the column's width.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from schemas.exact import limits

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
_EARLIEST_NS, _LATEST_NS = datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Term:
    """`values` are Python values of the column's type: one for a comparison, any number for `in`, else none.

    Of a column with time zones they are aware, of one without they are naive.
    """

    column: str
    dtype: pl.DataType
    operator: str
    values: tuple[Any, ...] = ()

    def expression(self) -> pl.Expr:
        """True where the condition certainly holds; null or false elsewhere."""
        column = pl.col(self.column)
        match self.operator:
            case "isNull":
                return column.is_null()
            case "isNotNull":
                return column.is_not_null()
            case "never":
                return pl.lit(value=False)
            case "in":
                return column.is_in(pl.Series(list(self.values), dtype=self.dtype).implode())
        return COMPARISONS[self.operator](column, _literal(self.values[0], self.dtype))


def term(column: str, dtype: pl.DataType, operator: str, literals: Sequence[Any]) -> Term:
    """The condition `operator` over literals that have the family of `dtype` already.

    Raises `ValueError` for a local time that does not exist, `OverflowError` for a number beyond all floats.
    """
    if dtype.is_integer() or isinstance(dtype, pl.Decimal):
        return _whole(column, dtype, operator, [Fraction(str(each)) for each in literals])
    values = tuple(_as_stored(each, dtype) for each in literals)
    if operator == "in":
        values = tuple(each for each in values if _is_exact(each, dtype))
        operator = operator if values else NEVER
    return Term(column, dtype, operator, values)


def _literal(value: Any, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):  # microseconds, whatever the unit of the column
        return pl.lit(value, dtype=pl.Datetime("us", dtype.time_zone))
    return pl.lit(value, dtype=dtype)


def _whole(column: str, dtype: pl.DataType, operator: str, literals: Sequence[Fraction]) -> Term:
    """Over a type that is stored as whole numbers of a unit: 1 of an integer, 10^-scale of a decimal."""
    scale = dtype.scale if isinstance(dtype, pl.Decimal) else 0
    lowest, highest = _range(dtype)
    numbers = [each * 10**scale for each in literals]
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


def _range(dtype: pl.DataType) -> tuple[int, int]:
    if isinstance(dtype, pl.Decimal):
        most = 10 ** (dtype.precision or 38) - 1
        return -most, most
    return limits(dtype)


def _in_type(units: int, dtype: pl.DataType) -> int | Decimal:
    return Decimal(f"{units}E-{dtype.scale}") if isinstance(dtype, pl.Decimal) else units


def _as_stored(value: Any, dtype: pl.DataType) -> Any:
    if dtype == pl.Float32:
        return struct.unpack("<f", struct.pack("<f", float(value)))[0]
    if dtype.is_float():
        return float(value)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return _local(value, ZoneInfo(dtype.time_zone))
    return value


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    """The naive `moment` in `zone`, the earlier one where the clock goes back."""
    aware = moment.replace(tzinfo=zone, fold=0)
    if aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment:
        raise ValueError("the clock skips this moment")
    return aware


def _is_exact(value: date | Any, dtype: pl.DataType) -> bool:
    """Whether a moment can be held in the column's own unit; everything else can."""
    if not isinstance(value, datetime) or not isinstance(dtype, pl.Datetime):
        return True
    if dtype.time_unit == "ms":
        return value.microsecond % 1000 == 0
    return dtype.time_unit == "us" or _EARLIEST_NS <= value.replace(tzinfo=value.tzinfo or UTC) < _LATEST_NS
