"""Text to typed columns: CSV as the contract types it, and nothing guessed.

A value that is not exactly of its type becomes null and is counted, per column; the caller decides what that means.
"Exactly" is strict: a date must be written in the column's format in full, an integer without a decimal point.
An unquoted empty field is null, a quoted one is the empty text (RFC 4180 leaves this open). So is an empty line in a
table of one column; in any other it is no row.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import csv

from flows.sources.plan import ExtractionPlan, PlannedColumn, Unreadable
from flows.sources.strict_csv import whole_rows
from flows.sources.values import possible
from schemas.logical_types import has_offset
from schemas.written import form_pattern

BLOCK_BYTES = 4 * 1024 * 1024  # of a piece, parsed on several cores
_ISO_TIME = r"^[0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,9})?$"
_ISO_TIMESTAMP = (  # without leap seconds; more than six decimals are zeros
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-5][0-9](\.[0-9]{1,6}0{0,3})?(Z|[+-][0-9]{2}:?[0-9]{2})?$"
)


def csv_columns(path: str) -> list[str]:
    """The names in the header line, in order; a name may occur twice."""
    with Path(path).open("rb") as file:
        header = next(whole_rows(file), b"")
    options = csv.ReadOptions(use_threads=False)  # a thread that starts while the program ends would abort it
    parse = csv.ParseOptions(newlines_in_values=True)
    return list(csv.read_csv(pa.BufferReader(header), options, parse).column_names)


def csv_batches(path: str, plan: ExtractionPlan, unreadable: Unreadable) -> Iterator[pl.DataFrame]:
    """Typed frames with the plan's columns and rows. Foreign exceptions are the caller's to translate."""
    rows = plan.source_filter
    typed = {column.source_name: column for column in plan.columns}
    needed = list(dict.fromkeys([*typed, *sorted(rows.columns)]))
    types = {name: pl.String() if name not in typed else typed[name].dtype for name in needed}
    keep = rows.expression(plan.period, types)
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(needed, pa.large_string()),
        include_columns=needed,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    names = csv_columns(path)
    with Path(path).open("rb") as file:
        for piece in islice(whole_rows(file), 1, None):
            frame = pl.DataFrame(pl.from_arrow(_parsed(piece, names, convert)))
            frame = _read_columns(frame, [typed[name] for name in rows.columns if name in typed], unreadable)
            frame = _read_columns(frame.filter(keep), [typed[n] for n in typed if n not in rows.columns], unreadable)
            yield frame.select(pl.col(column.source_name).alias(column.name) for column in plan.columns)


def _parsed(text: bytes, names: list[str], convert: csv.ConvertOptions) -> pa.Table:
    """The rows of a piece: an empty line is one where there is one column, and none where there are several."""
    several = len(names) > 1
    if several and not text.strip(b"\r\n"):  # for which Arrow has an error
        return pa.table({name: pa.array([], pa.large_string()) for name in convert.include_columns})
    options = csv.ReadOptions(column_names=names, block_size=_block_bytes(text))
    parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=several)
    return csv.read_csv(pa.BufferReader(text), options, parse, convert)


def _block_bytes(text: bytes) -> int:
    """Where a block ends between CR and LF, Arrow drops the LF, also inside a value: then all of the text is one."""
    parted = any(text[at - 1 : at + 1] == b"\r\n" for at in range(BLOCK_BYTES, len(text), BLOCK_BYTES))
    return len(text) if parted else BLOCK_BYTES


def _read_columns(frame: pl.DataFrame, columns: list[PlannedColumn], unreadable: Unreadable) -> pl.DataFrame:
    typed = [column for column in columns if column.dtype != pl.String]
    values = (read_text(pl.col(each.source_name), each).alias(each.source_name) for each in typed)
    read = frame.lazy().with_columns(values).collect()  # lazy: what occurs twice in an expression is read once
    for column in typed:
        lost = read[column.source_name].null_count() - frame[column.source_name].null_count()
        if lost:
            unreadable(column.name, lost)
    return read


def read_text(text: pl.Expr, column: PlannedColumn) -> pl.Expr:
    """The values of a column of text that is to be of another type; null where one is not exactly of it."""
    dtype = column.dtype
    if dtype.is_integer():
        return pl.when(text.str.contains(r"^[+-]?[0-9]+$")).then(text.cast(dtype, strict=False))
    if dtype.is_float():
        return pl.when(text.str.contains(r"^[+-]?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?$")).then(
            text.cast(dtype, strict=False)
        )
    if dtype == pl.Boolean:
        return text.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    return possible(_read_moment(text, dtype, column.text_format), dtype)


def _read_moment(text: pl.Expr, dtype: pl.DataType, form: str | None) -> pl.Expr:
    if form is not None:
        return _read_formatted(text, dtype, form)
    if isinstance(dtype, pl.Datetime):
        return _read_timestamp(text, dtype)
    if dtype == pl.Time:
        return pl.when(text.str.contains(_ISO_TIME)).then(text.str.strptime(pl.Time, "%H:%M:%S%.f", strict=False))
    return _read_exact(text, dtype, "%Y-%m-%d")


def _read_formatted(text: pl.Expr, dtype: pl.DataType, form: str) -> pl.Expr:
    zone = dtype.time_zone if isinstance(dtype, pl.Datetime) else None
    if has_offset(form):
        return _read_with_offset(text, form).dt.convert_time_zone(zone or "UTC")
    if zone is not None:
        return _in_zone(_read_exact(text, pl.Datetime("us"), form), zone)
    return _read_exact(text, dtype, form)


def _read_exact(text: pl.Expr, dtype: pl.DataType, form: str) -> pl.Expr:
    """Parse, and accept only what is written back as the same text: chrono by itself takes 2026-1-5 for a date."""
    parsed = text.str.strptime(dtype, form, strict=False)  # type: ignore[arg-type]  # Date, Time or Datetime
    return pl.when(parsed.dt.to_string(form) == text).then(parsed)


def _read_with_offset(text: pl.Expr, form: str) -> pl.Expr:
    """Moments in UTC. Their offset is not kept, so that they cannot be written back. UTC may be Z, as in the JDK."""
    form = form.replace("%9f", "%6f000")
    before, offset, after = map(form_pattern, form.partition("%:z"))
    if offset:
        text = text.str.replace(f"^({before})Z({after})$", "${1}+00:00${2}")
    exact = pl.when(text.str.contains(f"^{before}{offset}{after}$")).then(text)
    return exact.str.strptime(pl.Datetime("us", "UTC"), form, strict=False)


def _in_zone(naive: pl.Expr, zone: str) -> pl.Expr:
    return naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")


def _read_timestamp(text: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    """ISO 8601 with seconds; an offset if and only if the column has time zones, or none for the default zone."""
    iso = pl.when(text.str.contains(_ISO_TIMESTAMP)).then(text.str.replace(" ", "T", literal=True))
    naive = iso.str.strptime(pl.Datetime("us"), "%Y-%m-%dT%H:%M:%S%.f", strict=False)
    if dtype.time_zone is None:
        return naive
    zoned = iso.str.replace(r"Z$", "+00:00").str.strptime(
        pl.Datetime("us", "UTC"), "%Y-%m-%dT%H:%M:%S%.f%z", strict=False
    )
    return zoned.dt.convert_time_zone(dtype.time_zone).fill_null(_in_zone(naive, dtype.time_zone))
