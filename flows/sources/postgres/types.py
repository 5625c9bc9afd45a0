"""PostgreSQL's types: what each is as a Polars type, and how a column of it is read, compared and given a value.

Nothing is converted between families. Values that a type of ours cannot hold (infinity, NaN in a numeric, 24:00, years
before 1 or after 9999) become null and are counted. A type without a counterpart is `Unknown`: offer a view that casts.
Moments with a time zone are instants, which PostgreSQL keeps without the zone: they are read in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from flows.sources.plan import Unreadable
from flows.sources.sql import quoted
from flows.sources.values import without_impossible

_PLAIN: dict[str, pl.DataType] = {
    "int2": pl.Int16(),
    "int4": pl.Int32(),
    "int8": pl.Int64(),
    "float4": pl.Float32(),
    "float8": pl.Float64(),
    "bool": pl.Boolean(),
    "text": pl.String(),
    "varchar": pl.String(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
}
_AS_TEXT = ("uuid", "enum")  # labels that have one form as text
_TYPMOD_HEADER = 4  # bytes, in the modifier of numeric and bpchar
_MOST_DIGITS = 38
_SQL_NAMES: dict[type[pl.DataType], str] = {
    pl.Float32: "float4", pl.Float64: "float8", pl.String: "text", pl.Boolean: "bool", pl.Date: "date",
}  # fmt: skip


@dataclass(frozen=True)
class PostgresColumn:
    """`base` is the name of the type, or "enum", or "foreign"; of a domain that of the type below it.

    `modifier` is its typmod.
    """

    name: str
    base: str
    modifier: int

    @property
    def dtype(self) -> pl.DataType:
        """The column's type in a frame; `Unknown` if it has none there."""
        if self.base in _AS_TEXT or (self.base == "bpchar" and self.modifier > _TYPMOD_HEADER):
            return pl.String()
        if self.base == "numeric" and self.modifier > _TYPMOD_HEADER:
            precision, scale = divmod(self.modifier - _TYPMOD_HEADER, 1 << 16)
            if scale <= precision <= _MOST_DIGITS:
                return pl.Decimal(precision, scale)
        return _PLAIN.get(self.base, pl.Unknown())

    @property
    def arrives_as(self) -> pl.DataType:
        """The type in the batches as they come."""
        return pl.String() if isinstance(self.dtype, pl.Decimal) else self.dtype


class PostgresDialect:
    """Parameter n is the setting `gla.pn` of the transaction: COPY, which alone streams, takes no parameters."""

    def __init__(self, columns: Mapping[str, PostgresColumn]) -> None:
        self._columns = columns

    def read(self, column: str) -> str:
        base = self._columns[column].base
        return f"CAST({quoted(column)} AS text)" if base in ("numeric", *_AS_TEXT) else quoted(column)

    def compared(self, column: str) -> str:
        it = self._columns[column]
        if it.base == "bpchar":  # its own comparison ignores the blanks with which it is filled up
            return f'rpad(CAST({quoted(column)} AS text), {it.modifier - _TYPMOD_HEADER}) COLLATE "C"'
        if it.base in _AS_TEXT:
            return f'CAST({quoted(column)} AS text) COLLATE "C"'
        return f'{quoted(column)} COLLATE "C"' if it.dtype == pl.String else quoted(column)

    def value(self, dtype: pl.DataType, parameter: int) -> str:
        return f"(SELECT CAST(current_setting('{setting(parameter)}') AS {_sql_name(dtype)}))"

    def one_of(self, dtype: pl.DataType, parameter: int) -> str:
        return f"(SELECT unnest(CAST(current_setting('{setting(parameter)}') AS {_sql_name(dtype)}[])))"

    def bound(self, values: tuple[Any, ...], *, many: bool) -> str:
        return "{" + ",".join(map(_array_item, values)) + "}" if many else _text(values[0])


def setting(parameter: int) -> str:
    """The name of the setting that holds a parameter."""
    return f"gla.p{parameter}"


def typed(
    frame: pl.DataFrame, nulls: Sequence[int], columns: Sequence[tuple[str, PostgresColumn]], unreadable: Unreadable
) -> pl.DataFrame:
    """The frame under its delivered names, with types of ours; `unreadable` hears of values that are lost by it.

    `nulls` are the numbers of nulls as the database gave them: Polars takes 24:00 for one.
    """
    read = pl.DataFrame(
        [_held(frame.to_series(at), each).alias(name) for at, (name, each) in enumerate(columns)],
    )
    for at, (name, _) in enumerate(columns):
        if lost := read.to_series(at).null_count() - nulls[at]:
            unreadable(name, lost)
    return read


def _held(values: pl.Series, column: PostgresColumn) -> pl.Series:
    dtype = column.dtype
    return values.cast(dtype, strict=False) if isinstance(dtype, pl.Decimal) else without_impossible(values)


def _sql_name(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "int8"
    if isinstance(dtype, pl.Decimal):
        return "numeric"
    if isinstance(dtype, pl.Datetime):
        return "timestamp" if dtype.time_zone is None else "timestamptz"
    return _SQL_NAMES[dtype.base_type()]


def _text(value: Any) -> str:
    """A parameter as text that PostgreSQL reads as exactly this value."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _array_item(value: Any) -> str:
    return '"' + _text(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
