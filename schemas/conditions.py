"""What ODCS promises of one value, as Polars conditions for the type in which it is stored.

Each condition is named after the ODCS word that it enforces. Null passes every condition; `required` alone judges
nulls. Lengths count Unicode characters. NaN and infinity are no numbers. What is not understood is refused here with
`UnusableInput`.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import polars as pl

from core.errors import UnusableInput
from schemas.exact import BOUNDS, Condition, compare, in_units, is_multiple, is_one_of, limits, whole_numbers
from schemas.logical_types import INTEGER_FORMATS, read_literal
from schemas.patterns import translate
from schemas.table import Column

_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rf"({_OCTET}\.){{3}}{_OCTET}"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HEX16 = "[0-9A-Fa-f]{1,4}"
_LOW32 = f"({_HEX16}:{_HEX16}|{_IPV4})"


def _ipv6() -> str:
    """The rule IPv6address of RFC 3986: eight groups, of which `::` may stand for one or more."""
    forms = [f"({_HEX16}:){{6}}{_LOW32}", f"::({_HEX16}:){{5}}{_LOW32}"]
    forms += [f"(({_HEX16}:){{0,{4 - after}}}{_HEX16})?::({_HEX16}:){{{after}}}{_LOW32}" for after in (4, 3, 2, 1, 0)]
    forms += [f"(({_HEX16}:){{0,5}}{_HEX16})?::{_HEX16}", f"(({_HEX16}:){{0,6}}{_HEX16})?::"]
    return "|".join(forms)


STRING_FORMATS = {  # string formats that are a pattern; WHATWG's for e-mail, RFC 9562, RFC 1123, RFC 3986, RFC 4648
    "uuid": r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "ipv4": f"^{_IPV4}$",
    "ipv6": f"^({_ipv6()})$",
    "hostname": rf"^{_LABEL}(\.{_LABEL})*$",
    "email": rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]+@{_LABEL}(\.{_LABEL})*$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
    r"(#([A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)?$",
    "byte": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}


def conditions(column: Column, dtype: pl.DataType) -> Iterator[tuple[str, Condition]]:
    """The ODCS word and the condition of each option of one column (or inner value) that is stored as `dtype`.

    The words do not depend on `dtype`, so that a verdict names the same promises for every source.
    """
    if column.logical_type == "array":
        yield from _array_conditions(column)
    if column.logical_type == "object":
        yield from _object_conditions(column)
    if column.logical_type == "string":
        yield from _text_conditions(column)
    if dtype.is_float():
        yield "logicalType", lambda value: value.is_finite()
    if column.logical_type == "integer" and "format" in column.options:
        yield "format", _width_condition(column, dtype)
    for word in BOUNDS:
        if word in column.options:
            yield word, compare(word, column, _bound(column, column.options[word]), dtype)
    if "multipleOf" in column.options:
        yield "multipleOf", _multiple_condition(column, column.options["multipleOf"], dtype)
    if column.enum is not None:
        allowed = [read_literal(column, value) for value in column.enum if value is not None]
        yield "enum", is_one_of(column, allowed, dtype)


def _array_conditions(column: Column) -> Iterator[tuple[str, Condition]]:
    options = column.options
    if "minItems" in options:
        yield "minItems", lambda items: items.list.len() >= options["minItems"]
    if "maxItems" in options:
        yield "maxItems", lambda items: items.list.len() <= options["maxItems"]
    if options.get("uniqueItems"):
        yield "uniqueItems", lambda items: _distinct_items(items.list.drop_nulls())


def _distinct_items(items: pl.Expr) -> pl.Expr:
    return items.list.n_unique() == items.list.len()


def _object_conditions(column: Column) -> Iterator[tuple[str, Condition]]:
    """In a column every property of an object is stored, so one that is absent is a null."""
    options = column.options

    def present(value: pl.Expr) -> pl.Expr:
        return pl.sum_horizontal(value.struct.field(name).is_not_null().cast(pl.UInt32) for name in column.properties)

    if "minProperties" in options:
        yield "minProperties", lambda value: value.is_null() | (present(value) >= options["minProperties"])
    if "maxProperties" in options:
        yield "maxProperties", lambda value: value.is_null() | (present(value) <= options["maxProperties"])


def _text_conditions(column: Column) -> Iterator[tuple[str, Condition]]:
    options = column.options
    if "minLength" in options:
        yield "minLength", lambda text: text.str.len_chars() >= options["minLength"]
    if "maxLength" in options:
        yield "maxLength", lambda text: text.str.len_chars() <= options["maxLength"]
    if "pattern" in options:
        pattern = translate(options["pattern"])
        yield "pattern", lambda text: text.str.contains(pattern)
    if options.get("format", "password") != "password":  # password: a hint for screens, no promise about values
        if options["format"] not in STRING_FORMATS:
            raise UnusableInput(f"column {column.name} has a string format that is not supported: use a pattern")
        form = translate(STRING_FORMATS[options["format"]])
        yield "format", lambda text: text.str.contains(form)


def _bound(column: Column, bound: Any) -> Any:
    """A bound as value of the column's type; one of an integer column may have a fraction in ODCS."""
    if column.logical_type == "integer" and isinstance(bound, float):
        return Fraction(bound)
    return read_literal(column, bound)


def _width_condition(column: Column, dtype: pl.DataType) -> Condition:
    """ODCS `format` of an integer says in how many bits a value fits, whatever the width in which it is stored."""
    sign, bits = INTEGER_FORMATS[column.options["format"]]
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if sign == "i" else (0, 2**bits - 1)
    stored_lowest, stored_highest = limits(dtype)
    if lowest <= stored_lowest and stored_highest <= highest:
        return _always
    low, high = max(lowest, stored_lowest), min(highest, stored_highest)
    return lambda value: (value >= low) & (value <= high)


def _always(_: pl.Expr) -> pl.Expr:
    return pl.lit(value=True)


def _multiple_condition(column: Column, step: float, dtype: pl.DataType) -> Condition:
    stored = whole_numbers(dtype)
    if stored is not None:  # n is a multiple of p/q (lowest terms) exactly if it is one of p
        factor = in_units(column, step, dtype).numerator
        if factor > limits(stored)[1]:
            return lambda value: value.is_null() | (value.to_physical() == 0)
        return lambda value: value.to_physical() % pl.lit(factor, dtype=stored) == 0
    return is_multiple(step, dtype)
