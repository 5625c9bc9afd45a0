"""Values that a source can hold and a type of ours cannot: infinite moments, years outside 1 to 9999, 24:00."""

from __future__ import annotations

from datetime import date

import polars as pl

from flows.sources.plan import Unreadable

_EPOCH = date(1970, 1, 1).toordinal()
_DAYS = (date(1, 1, 1).toordinal() - _EPOCH, date(9999, 12, 31).toordinal() - _EPOCH)
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_LOWEST, _HIGHEST = -(2**63) + 1, 2**63 - 2  # the ends of Int64 stand for infinity, and years do not reach them in ns


def without_impossible(values: pl.Series) -> pl.Series:
    """The same values, null where there is no such day or time of day."""
    bounds = _bounds(values.dtype)
    if bounds is None or values.is_empty():
        return values
    if values.to_physical().is_between(*bounds).all():
        return values
    return values.to_frame().select(possible(pl.first(), values.dtype)).to_series()


def possible(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The same as an expression."""
    bounds = _bounds(dtype)
    return values if bounds is None else pl.when(values.to_physical().is_between(*bounds)).then(values)


def all_possible(frame: pl.DataFrame, unreadable: Unreadable) -> pl.DataFrame:
    """The same of every column; `unreadable` hears of what is lost by it. Arrays and objects are not looked into."""
    read = [without_impossible(values) for values in frame]
    for before, after in zip(frame, read, strict=True):
        if lost := after.null_count() - before.null_count():
            unreadable(after.name, lost)
    return frame.with_columns(read)


def _bounds(dtype: pl.DataType) -> tuple[int, int] | None:
    if dtype == pl.Date:
        return _DAYS
    if isinstance(dtype, pl.Datetime):
        per_day = _PER_DAY[dtype.time_unit]
        return max(_LOWEST, _DAYS[0] * per_day), min(_HIGHEST, (_DAYS[1] + 1) * per_day - 1)
    return (0, _PER_DAY["ns"] - 1) if dtype == pl.Time else None
