"""Fixed width with a header and a trailer, as docs/formats.md and `schemas.fixed_width` lay it out.

The records of a batch are made as one column of text and written from where Polars keeps it, so no row costs any
Python. A value that does not fit refuses the delivery: nothing is cut off or rounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import or_
from types import TracebackType
from typing import Self

import numpy as np
import polars as pl
import pyarrow as pa

from core.errors import RowsInvalid
from core.period import Period
from flows.steps.formats.moments import moment
from flows.steps.formats.writer import Encoded
from flows.steps.staging import DigestingWriter
from schemas.agreement import Agreement
from schemas.exact import is_multiple
from schemas.fixed_width import END, ROW, Field, header, layout, trailer

_SLICE_BYTES = 4 * 1024 * 1024  # of records made at once: bounds memory however long a record is
_CONTROL = r"[\x00-\x1f\x7f-\x9f\x{2028}\x{2029}]"  # would end a record early, somewhere
_EXACT_FLOAT = 2**53  # whole numbers up to here are exact as a float
_INT64_DIGITS = 18  # of which any number fits into 64 bits


@dataclass(frozen=True)
class _Records:
    """The records of some rows, and the sums of the columns that the trailer adds up."""

    texts: list[memoryview]
    sums: dict[str, int]


@dataclass(frozen=True)
class FixedFormat:
    """A header, one record per row, and a trailer that counts the rows and adds up the columns of `gla.sums`."""

    agreement: Agreement
    period: Period

    def encode(self, frame: pl.DataFrame) -> Encoded:
        texts = []
        for part in frame.iter_slices(max(1, _SLICE_BYTES // self._length)):
            self._require_fitting(part)
            texts.append(_bytes_of(self._records(part)))
        sums = {name: int(frame[name].cast(pl.Int128).sum()) for name in self.agreement.sums}
        return Encoded(frame.height, _Records(texts, sums))

    def open(self, target: DigestingWriter) -> FixedRows:
        return FixedRows(self, target)

    @cached_property
    def _fields(self) -> tuple[Field, ...]:
        return tuple(layout(self.agreement.contract.table))

    @cached_property
    def _length(self) -> int:
        return len(ROW) + sum(field.width for field in self._fields) + len(END)

    def _records(self, frame: pl.DataFrame) -> pl.Series:
        pieces = [piece for field in self._fields for piece in _pieces(field, frame[field.column.name])]
        texts = frame.select(piece.alias(str(at)) for at, piece in enumerate(pieces))  # on all cores
        return texts.select(pl.concat_str([pl.lit(ROW), pl.all(), pl.lit(END)])).to_series()

    def _require_fitting(self, frame: pl.DataFrame) -> None:
        misfits = {field.column.name: _misfit(field, frame.schema[field.column.name]) for field in self._fields}
        counts = frame.select(misfit.sum().alias(name) for name, misfit in misfits.items()).row(0, named=True)
        told = [f"{name} ({count})" for name, count in counts.items() if count]
        if told:
            raise RowsInvalid(
                f"agreement {self.agreement.id}: values that do not fit into their field in {', '.join(told)}: "
                "docs/formats.md says what fits; mend the source, or agree on another gla.format"
            )


class FixedRows:
    """The records of one file."""

    def __init__(self, form: FixedFormat, target: DigestingWriter) -> None:
        self._target = target
        self._rows = 0
        self._sums = dict.fromkeys(form.agreement.sums, 0)
        self._target.write(header(form.agreement.id, form.period).encode())

    def write(self, encoded: Encoded) -> None:
        for text in encoded.content.texts:
            self._target.write(text)
        self._rows += encoded.rows
        for name, amount in encoded.content.sums.items():
            self._sums[name] += amount

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._target.write(trailer(self._rows, self._sums).encode())


def _bytes_of(records: pl.Series) -> memoryview:
    """The text of all rows, end to end, without a copy."""
    array = records.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, content = array.cast(pa.large_string()).buffers()
    places = np.frombuffer(ends, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return memoryview(content)[places[0] : places[-1]] if len(array) else memoryview(b"")


def _pieces(field: Field, stored: pl.Series) -> list[pl.Expr]:
    """The texts that make up the field, each of its own width; spaces where the value is null."""
    pieces = _number(field, stored.dtype) if field.kind == "number" else [(_text(field, stored.dtype), field.width)]
    if not stored.null_count():
        return [piece for piece, _ in pieces]
    there = pl.col(field.column.name).is_not_null()
    return [pl.when(there).then(piece).otherwise(pl.lit(" " * width)) for piece, width in pieces]


def _text(field: Field, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(field.column.name)
    if field.kind == "text":
        return value.cast(pl.String).str.pad_end(field.width)
    if field.kind == "boolean":
        return pl.when(value).then(pl.lit("1")).otherwise(pl.lit("0"))
    return moment(field.column, dtype, str(field.form)).text


def _misfit(field: Field, dtype: pl.DataType) -> pl.Expr:
    """Whether a value does not fit; null fits."""
    value = pl.col(field.column.name)
    match field.kind:
        case "text":
            return reduce(or_, _text_misfits(field, value.cast(pl.String)))
        case "boolean":
            return pl.lit(value=False)
        case "number":
            return value.is_not_null() & _number_misfit(field, value, dtype).fill_null(value=True)
        case "moment":
            return moment(field.column, dtype, str(field.form)).lost


def _text_misfits(field: Field, value: pl.Expr) -> Iterator[pl.Expr]:
    """Too long; what ends a record; and what would be read as something else: spaces at the end are padding."""
    yield value.str.len_chars() > field.width
    yield value.str.contains(_CONTROL)
    yield value.str.ends_with(" ")
    if not field.column.required:
        yield value == ""


def _units(field: Field, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """The number in its last decimal, as whole number; null where that is not possible."""
    wide = pl.Int64() if field.digits <= _INT64_DIGITS else pl.Int128()
    if isinstance(dtype, pl.Decimal):
        exact = value.to_physical().cast(pl.Int128)
        missing = field.decimals - dtype.scale
        return (exact * _power(missing) if missing >= 0 else exact // _power(-missing)).cast(wide, strict=False)
    if dtype.is_float():
        return (value.cast(pl.Float64) * float(10**field.decimals)).round().cast(wide, strict=False)
    if not field.decimals:
        return value.cast(wide, strict=False)
    return (value.cast(pl.Int128) * _power(field.decimals)).cast(wide, strict=False)


def _number_misfit(field: Field, value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    units = _units(field, value, dtype)
    limit = pl.lit(10**field.digits, dtype=pl.Int64 if field.digits <= _INT64_DIGITS else pl.Int128)
    wrong = (units >= limit) | (units <= (-limit if field.signed else -1))
    if isinstance(dtype, pl.Decimal) and dtype.scale > field.decimals:
        wrong |= value.to_physical().cast(pl.Int128) % _power(dtype.scale - field.decimals) != 0
    if dtype.is_float():
        wrong |= (units.abs() > _EXACT_FLOAT) | ~is_multiple(1 / 10**field.decimals, dtype)(value)
    return wrong


def _power(decimals: int) -> pl.Expr:
    return pl.lit(10**decimals, dtype=pl.Int128)


def _number(field: Field, dtype: pl.DataType) -> list[tuple[pl.Expr, int]]:
    """A sign if there are negative ones, digits with zeros before them, and a point before the decimals."""
    units = _units(field, pl.col(field.column.name), dtype)
    whole = field.digits - field.decimals
    digits = units.abs().cast(pl.String).str.zfill(field.digits)
    sign = (pl.when(units < 0).then(pl.lit("-")).otherwise(pl.lit("+")), 1)
    if field.decimals:
        parts = [(digits.str.head(whole), whole), (pl.lit("."), 1), (digits.str.tail(field.decimals), field.decimals)]
    else:
        parts = [(digits, field.digits)]
    return [sign, *parts] if field.signed else parts
