"""ODCS logical types as Polars types: which ones a column may have, and the text forms of their values.

A logical type names a family: an `integer` may be stored as Int16 or Int64. Nothing is converted between families.
An array is stored as a Polars List and an object as a Struct with exactly the agreed fields, in any order; the same
holds inside them. Where a file has only text (CSV), `canonical_dtype` says what a column becomes.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl
from polars.datatypes import DataTypeClass

from core.errors import UnusableInput
from schemas.table import Column
from schemas.verdict import MISSING, NOT_AGREED

LOGICAL_TYPE = "logicalType"

_OPTIONS: dict[str, frozenset[str]] = {
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "boolean": frozenset(),
    "array": frozenset({"minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"minProperties", "maxProperties", "required"}),
}
_RANGE = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"})
_OPTIONS |= {"date": _RANGE} | dict.fromkeys(("number", "integer"), _RANGE | {"multipleOf"})
_OPTIONS |= dict.fromkeys(("timestamp", "time"), _RANGE | {"timezone", "defaultTimezone"})

_LITERALS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}
_ISO: dict[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "timestamp": datetime.fromisoformat,
}
INTEGER_FORMATS = {f"{sign}{bits}": (sign, bits) for sign in "iu" for bits in (8, 16, 32, 64, 128)}
_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)  # as pandera knows them
_CANONICAL: dict[str, pl.DataType] = {
    "string": pl.String(),
    "date": pl.Date(),
    "time": pl.Time(),
    "number": pl.Float64(),
    "integer": pl.Int64(),
    "boolean": pl.Boolean(),
}
_JDK = {  # the letters of a JDK DateTimeFormatter that have one meaning; longest first
    "yyyy": "%Y", "uuuu": "%Y", "SSSSSSSSS": "%9f", "SSSSSS": "%6f", "SSS": "%3f", "XXX": "%:z",
    "xxx": "%:z", "xx": "%z", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S", "Z": "%z",
}  # fmt: skip
_OFFSETS = ("%z", "%:z")


def check_options(column: Column) -> None:
    """Refuse an option that the type does not have, so that none is silently skipped."""
    unknown = [key for key in column.options if key not in _OPTIONS[column.logical_type]]
    if unknown:
        raise UnusableInput(f"column {column.name} has a logicalTypeOption that {column.logical_type} does not have")
    if column.is_nested:
        _check_nested(column)
    text_format(column)
    if column.logical_type == "timestamp":
        default_timezone(column)
    if column.logical_type == "time" and column.options.get("timezone"):
        raise UnusableInput(f"column {column.name}: a time with a time zone is not supported")


def _check_nested(column: Column) -> None:
    if column.enum is not None or column.unique or column.primary_key is not None:
        raise UnusableInput(f"column {column.name} is an {column.logical_type}, which can have no enum and be no key")
    if any(name not in column.properties for name in column.options.get("required", ())):
        raise UnusableInput(f"column {column.name} requires a property that the object does not have")


def canonical_dtype(column: Column) -> pl.DataType:
    """The type that a column gets when it is read from text."""
    if column.items is not None:
        return pl.List(canonical_dtype(column.items))
    if column.properties:
        return pl.Struct({name: canonical_dtype(each) for name, each in column.properties.items()})
    if column.logical_type == "timestamp":
        has_zone = column.options.get("timezone", has_offset(text_format(column) or ""))
        return pl.Datetime("us", default_timezone(column) if has_zone else None)
    if column.logical_type == "integer":
        return pl.UInt64() if column.options.get("format") in ("u64", "u128") else pl.Int64()
    if column.logical_type == "number" and column.options.get("format") == "f32":
        return pl.Float32()
    return _CANONICAL[column.logical_type]


def accepts(column: Column, dtype: pl.DataType) -> bool:
    """Whether a stored type belongs to the family of the column's logical type, and so on inside it."""
    return next(misfits(column, dtype), None) is None


def misfits(column: Column, dtype: pl.DataType) -> Iterator[tuple[str, str]]:
    """Where a stored type differs: the place, and what is wrong there (`LOGICAL_TYPE`, `MISSING` or `NOT_AGREED`)."""
    if column.items is not None and isinstance(dtype, pl.List):
        yield from misfits(column.items, instance(dtype.inner))
    elif column.properties and isinstance(dtype, pl.Struct):
        stored = {each.name: instance(each.dtype) for each in dtype.fields}
        if stored.keys() - column.properties.keys():
            yield column.name, NOT_AGREED
        for name, each in column.properties.items():
            yield from misfits(each, stored[name]) if name in stored else [(each.name, MISSING)]
    elif not _in_family(column, dtype):
        yield column.name, LOGICAL_TYPE


def instance(dtype: pl.DataType | DataTypeClass) -> pl.DataType:
    """What stands inside a List or Struct may be written as a class (`pl.Int64`); this is the type itself."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _in_family(column: Column, dtype: pl.DataType) -> bool:
    match column.logical_type:
        case "integer":
            return dtype in _INTEGERS
        case "number":
            if column.options.get("format") == "f32":
                return dtype == pl.Float32
            return dtype in _INTEGERS or dtype in (pl.Float32, pl.Float64) or isinstance(dtype, pl.Decimal)
        case "timestamp":
            zone = column.options.get("timezone")
            return isinstance(dtype, pl.Datetime) and zone in (None, dtype.time_zone is not None)
        case _:
            return dtype == _CANONICAL.get(column.logical_type)


def default_timezone(column: Column) -> str:
    """The IANA zone for timestamps that name none (ODCS default: UTC)."""
    name = column.options.get("defaultTimezone", "UTC")
    try:
        zone = zoneinfo.ZoneInfo("UTC" if name == "Etc/UTC" else name).key
        pl.Series([None], dtype=pl.Datetime("us", zone))  # files of the system such as localtime are no zones
        return zone
    except (ValueError, OSError, KeyError, pl.exceptions.PolarsError):
        pass
    raise UnusableInput(f"column {column.name} has an unknown defaultTimezone")


def text_format(column: Column) -> str | None:
    """How dates and times are written as text: the JDK `format` in chrono's letters; None is ISO 8601.

    Only letters with one clear meaning are understood; other formats are refused.
    """
    if "format" not in column.options or column.logical_type not in ("date", "timestamp", "time"):
        return None
    text, out = column.options["format"], ""
    while text:
        token = next((each for each in _JDK if text.startswith(each)), None)
        if token is not None:
            out, text = out + _JDK[token], text[len(token) :]
        elif text[0] == "'" and (end := text.find("'", 1)) > 1:
            out, text = out + text[1:end].replace("%", "%%"), text[end + 1 :]
        elif text[0].isascii() and not text[0].isalpha() and text[0] not in "%'[]{}#":
            out, text = out + text[0], text[1:]
        else:
            raise UnusableInput(f"column {column.name} has a format with parts that are not supported")
    return out


def has_offset(form: str) -> bool:
    """Whether a form of `text_format` tells the offset from UTC."""
    return any(each in form for each in _OFFSETS)


def read_literal(column: Column, value: Any) -> Any:
    """A bound or allowed value of the contract as Python value of the column's type; a mismatch is refused."""
    kind = column.logical_type
    moment = kind in _ISO and isinstance(value, str)
    if isinstance(value, _LITERALS.get(kind, ())) and (kind == "boolean" or not isinstance(value, bool)):
        return value
    try:
        if moment:
            return _checked_moment(column, _ISO[kind](value))
    except ValueError:
        pass
    if moment and "format" in column.options:
        return _read_formatted(column, value)
    raise UnusableInput(f"column {column.name} has a bound or allowed value that is no {kind} (dates in ISO 8601)")


def _read_formatted(column: Column, text: str) -> Any:
    series = pl.Series([text])
    dtype: Any = {"date": pl.Date, "time": pl.Time, "timestamp": pl.Datetime("us")}[column.logical_type]
    try:
        value = series.str.strptime(dtype, text_format(column), strict=False).item()
        if value is not None:
            return _checked_moment(column, value)
    except pl.exceptions.PolarsError:
        pass
    raise UnusableInput(f"column {column.name} has a bound or allowed value that is no {column.logical_type}")


def _checked_moment(column: Column, value: date | time | datetime) -> Any:
    """Times without zone; timestamps in UTC if the column has zones, else naive. A stray offset is refused."""
    if not isinstance(value, datetime):
        if isinstance(value, time) and value.tzinfo is not None:
            raise UnusableInput(f"column {column.name} has a time with an offset, which is not supported")
        return value
    if not column.options.get("timezone"):
        if value.tzinfo is not None:
            raise UnusableInput(f"column {column.name} has a value with an offset, but its timezone is not true")
        return value
    if value.tzinfo is None:
        value = value.replace(tzinfo=zoneinfo.ZoneInfo(default_timezone(column)))
    try:
        return value.astimezone(UTC)
    except OverflowError:
        pass
    raise UnusableInput(f"column {column.name} has a bound or allowed value that lies outside all years")
