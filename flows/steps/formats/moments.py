"""Dates and times as the text that the contract's `format` asks for, refused where that would lose something.

A timestamp with a time zone is written in the zone of the column (`defaultTimezone`, UTC if it has none), in whatever
zone the source keeps it. What is written is read back: a value with more precision than the format has, or in the hour
that comes twice when summer time ends (in a format without offset), does not come back as it was. Years have four
digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from core.errors import RowsInvalid
from schemas.logical_types import default_timezone, has_offset
from schemas.table import Column, Table
from schemas.written import written_form

_TIME = "%H:%M:%S%.f"  # ISO 8601; a fraction only where there is one


@dataclass(frozen=True)
class Moment:
    """A column of dates or times: its text, and whether a value is lost in it."""

    name: str
    text: pl.Expr
    lost: pl.Expr


def moments(table: Table, stored: Mapping[str, pl.DataType]) -> list[Moment]:
    """The columns of a table, stored as `stored`, whose text is not the one that Polars writes, or may lose something.

    A timestamp is read from text in microseconds.
    """
    return [found for column in table.columns if (found := _as_text(column, stored[column.name])) is not None]


def _as_text(column: Column, dtype: pl.DataType) -> Moment | None:
    form = written_form(column) or (_TIME if column.logical_type == "time" else None)
    found = None if form is None else moment(column, dtype, form)
    if not (isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns"):
        return found
    value = pl.col(column.name)
    finer = value.dt.nanosecond() % 1_000 != 0
    return Moment(column.name, value, finer) if found is None else replace(found, lost=found.lost | finer)


def moment(column: Column, dtype: pl.DataType, form: str) -> Moment:
    """The column in the format `form`, which is in the letters of chrono."""
    value = pl.col(column.name)
    if dtype == pl.Date:  # its form has year, month and day, so that nothing of a date is lost
        return Moment(column.name, value.dt.to_string(form), ~_has_four_digits(value))
    if isinstance(dtype, pl.Datetime):
        return _timestamp(column, dtype, form)
    text = value.dt.to_string(form)
    back = text.str.strptime(pl.Time, form, strict=False)
    return Moment(column.name, text, value.is_not_null() & back.ne_missing(value))


def _timestamp(column: Column, dtype: pl.Datetime, form: str) -> Moment:
    value, zone = pl.col(column.name), default_timezone(column)
    if dtype.time_zone is not None:
        local = value.dt.convert_time_zone(zone)
    else:
        local = _in_zone(value, zone) if has_offset(form) else value
    text = local.dt.to_string(form)
    if has_offset(form):
        back = text.str.strptime(pl.Datetime(dtype.time_unit, "UTC"), form, strict=False).dt.convert_time_zone(zone)
    else:
        naive = text.str.strptime(pl.Datetime(dtype.time_unit), form, strict=False)
        back = naive if dtype.time_zone is None else _in_zone(naive, zone)
    kept = back.eq_missing(local) & local.is_not_null() & _has_four_digits(local)
    return Moment(column.name, text, value.is_not_null() & ~kept)


def _has_four_digits(moment: pl.Expr) -> pl.Expr:
    return moment.dt.year().is_between(1, 9999)


def _in_zone(naive: pl.Expr, zone: str) -> pl.Expr:
    return naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")


def require_exact(agreement_id: str, frame: pl.DataFrame, found: Sequence[Moment]) -> None:
    """`RowsInvalid` names the columns, and counts the values, that their format cannot hold."""
    if not found:
        return
    counts = frame.select(each.lost.sum().alias(each.name) for each in found).row(0, named=True)
    told = [f"{name} ({count})" for name, count in counts.items() if count]
    if told:
        raise RowsInvalid(
            f"agreement {agreement_id}: values that their format cannot hold in {', '.join(told)}: mend the source, or "
            "agree on a format with more parts or on Parquet"
        )
