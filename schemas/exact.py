"""Compare stored values with values of a contract, exactly, whatever the width, scale or unit in which they are stored.

Integers, decimals and timestamps are whole numbers in some unit (1, a cent, a microsecond). A bound is expressed in
that unit as a fraction and rounded to the side that changes nothing, so no value is ever rounded, and the comparison is
one of integers. Left to itself, Polars compares two units of time in the coarser one, and rounds an allowed 0.125 to
the scale of a column. Null stays null.

>>> compare("minimum", Column("a", "a", "integer"), 0.5, pl.Int64())(pl.col("a")).meta.root_names()
['a']
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from schemas.logical_types import default_timezone
from schemas.table import Column

Condition = Callable[[pl.Expr], pl.Expr]
BOUNDS: dict[str, Callable[[Any, Any], Any]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
_FEW_UNITS = {32: 2.0**-21, 64: 2.0**-50}  # four in the last place of a float of so many bits, relatively
_MOST_STEPS = {32: 2.0**24, 64: 2.0**48}  # so many multiples are told apart in it, and in how we compute
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from times without zone
PER_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}


def compare(word: str, column: Column, bound: Any, dtype: pl.DataType) -> Condition:
    """A condition for a column stored as `dtype`; `word` is one of `BOUNDS`, `bound` of `read_literal` or a number."""
    stored = whole_numbers(dtype)
    if stored is None:
        return _compare_float(word, bound) if dtype.is_float() else lambda value: BOUNDS[word](value, pl.lit(bound))
    lowest, highest = limits(stored)
    exact = in_units(column, bound, dtype)
    if word in ("minimum", "exclusiveMinimum"):
        least = math.ceil(exact) if word == "minimum" else math.floor(exact) + 1
        return _nothing if least > highest else lambda value: value.to_physical() >= _lit(max(least, lowest), stored)
    most = math.floor(exact) if word == "maximum" else math.ceil(exact) - 1
    return _nothing if most < lowest else lambda value: value.to_physical() <= _lit(min(most, highest), stored)


def _compare_float(word: str, bound: Any) -> Condition:
    """A bound with decimals is meant as the column's type has it: 0.1 is no more than 0.1. A whole one is exact."""
    near = float(bound)
    if not near.is_integer():
        return lambda value: BOUNDS[word](value, pl.lit(near))
    upwards = word in ("minimum", "exclusiveMaximum")
    if near < bound if upwards else near > bound:
        near = math.nextafter(near, math.inf if upwards else -math.inf)
    return lambda value: BOUNDS[word](value.cast(pl.Float64), pl.lit(near))


def is_one_of(column: Column, values: Sequence[Any], dtype: pl.DataType) -> Condition:
    """Whether a value is one of `values` (of `read_literal`); those that the type cannot hold are never found."""
    stored = whole_numbers(dtype)
    if stored is None:
        allowed = pl.Series(list(map(float, values)) if dtype.is_float() else list(values), dtype=dtype)
        if dtype.is_float():
            held = [not float(value).is_integer() or near == value for value, near in zip(values, allowed, strict=True)]
            allowed = allowed.filter(pl.Series(held, dtype=pl.Boolean))
        return lambda value: value.is_in(allowed.implode())
    lowest, highest = limits(stored)
    units = (in_units(column, value, dtype) for value in values)
    whole = [int(each) for each in units if each.denominator == 1 and lowest <= each <= highest]
    numbers = pl.Series(whole, dtype=stored)
    return lambda value: value.to_physical().is_in(numbers.implode())


def is_multiple(step: float, dtype: pl.DataType) -> Condition:
    """Whether a float stands for a multiple of `step`: it is the float of one, or a few units in its last place off.

    A tenth of a step is never few. Where multiples cannot be told apart none is found; but a power of two, such as 1 or
    0.25, divides exactly at any size.
    """
    bits = 32 if dtype == pl.Float32() else 64
    most = math.inf if math.frexp(step)[0] == 0.5 else _MOST_STEPS[bits] * step  # half: of each power of two

    def judged(value: pl.Expr) -> pl.Expr:
        number = value.cast(pl.Float64)
        nearest = (number / step).round() * step
        off, size = (number - nearest.cast(dtype).cast(pl.Float64)).abs(), number.abs()
        return (off <= pl.min_horizontal(size * _FEW_UNITS[bits], step / 10)) & (size <= most)

    return judged


def whole_numbers(dtype: pl.DataType) -> pl.DataType | None:
    """The type of the whole numbers as which values of `dtype` are stored; None if they are not."""
    if dtype.is_integer():
        return dtype
    if isinstance(dtype, pl.Decimal):
        return pl.Int128()
    return pl.Int64() if isinstance(dtype, pl.Datetime) else None


def in_units(column: Column | None, value: Any, dtype: pl.DataType) -> Fraction:
    """A value in the unit of the stored type. A moment without zone is meant in the column's default time zone."""
    if isinstance(dtype, pl.Datetime):
        if column is not None and value.tzinfo is None and dtype.time_zone is not None:
            value = value.replace(tzinfo=ZoneInfo(default_timezone(column)))
        since = value.replace(tzinfo=None) - EPOCH - (value.utcoffset() or timedelta())
        return Fraction(since // timedelta(microseconds=1) * PER_SECOND[dtype.time_unit], 10**6)
    number = value if isinstance(value, Fraction) else Fraction(str(value))
    return number * 10**dtype.scale if isinstance(dtype, pl.Decimal) else number


def limits(dtype: pl.DataType) -> tuple[int, int]:
    """The lowest and highest value of an integer type."""
    bits = next(bits for bits in (128, 64, 32, 16, 8) if str(dtype).endswith(str(bits)))
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.is_signed_integer() else (0, 2**bits - 1)


def _nothing(value: pl.Expr) -> pl.Expr:
    return value.is_null()


def _lit(number: int, dtype: pl.DataType) -> pl.Expr:
    return pl.lit(number, dtype=dtype)
