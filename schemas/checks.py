"""One column's promises as pandera checks, for the type in which the column is actually stored.

Each check is named after the ODCS word that it enforces and keeps no failing value (`n_failure_cases=0`). Null passes
every check; `required` alone judges nulls. Lengths count Unicode characters. NaN and infinity are no numbers.
What is not understood is refused here with `UnusableInput`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from core.errors import UnusableInput
from schemas.logical_types import INTEGER_FORMATS, literal, read_literal
from schemas.patterns import translate
from schemas.rules import Condition, Row, Rule, column_rules
from schemas.table import Column

_FORMATS = {  # string formats that are a pattern; WHATWG's for e-mail, RFC 9562, RFC 1123, RFC 4648
    "uuid": r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
    "ipv4": r"^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])$",
    "hostname": r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    "email": r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    "byte": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
_ULPS = 2.0**-50  # a quotient this close to a whole number, relatively, is one: four units in the last place


def column_checks(column: Column, dtype: pl.DataType, row: Row) -> list[pa.Check]:
    """Every check of one column that is stored as `dtype`, beside the other columns in `row`."""
    own = [_check(column, name, condition) for name, condition in _conditions(column, dtype)]
    return own + [_rule_check(column, rule, row) for rule in column_rules(column, dtype, row)]


def _check(column: Column, name: str, condition: Condition) -> pa.Check:
    def run(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(condition(pl.col(data.key or "")))

    return pa.Check(run, name=name, title=column.name, n_failure_cases=0)


def _rule_check(column: Column, rule: Rule, row: Row) -> pa.Check:
    if not rule.others:
        return _check(column, rule.name, rule.condition)

    def run(data: PolarsData) -> pl.LazyFrame:
        stored = data.lazyframe.collect_schema()
        comparable = all(stored.get(each) == row.dtypes[each] for each in rule.others)  # else that column fails itself
        return data.lazyframe.select(rule.condition(pl.col(data.key or "")) if comparable else pl.lit(value=True))

    return pa.Check(run, name=rule.name, title=column.name, n_failure_cases=0)


def _conditions(column: Column, dtype: pl.DataType) -> Iterator[tuple[str, Condition]]:
    if column.logical_type == "string":
        yield from _text_conditions(column)
    if dtype.is_float():
        yield "logicalType", lambda value: value.is_finite()
    if column.logical_type == "integer" and "format" in column.options:
        yield from _width_condition(column, dtype)
    for name, compare in _COMPARE.items():
        if name in column.options:
            yield name, _bound_condition(name, compare, _bound(column, column.options[name]), dtype)
    if "multipleOf" in column.options:
        yield "multipleOf", _multiple_condition(column.options["multipleOf"], dtype)
    if column.enum is not None:
        yield "enum", _enum_condition(column, dtype)


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
        if options["format"] not in _FORMATS:
            raise UnusableInput(f"column {column.name} has a string format that is not supported: use a pattern")
        form = translate(_FORMATS[options["format"]])
        yield "format", lambda text: text.str.contains(form)


def _bound(column: Column, bound: Any) -> Any:
    """A bound as value of the column's type; one of an integer column may have a fraction in ODCS."""
    if column.logical_type == "integer" and isinstance(bound, float):
        return Fraction(bound)
    return read_literal(column, bound)


def _bound_condition(name: str, compare: Callable[[Any, Any], Any], bound: Any, dtype: pl.DataType) -> Condition:
    if dtype.is_integer():
        return _integer_bound(name, bound, dtype)
    typed = literal(bound, dtype)
    return lambda value: compare(value, typed)


def _integer_bound(name: str, bound: float | Fraction, dtype: pl.DataType) -> Condition:
    """Compare whole numbers with a whole number inside the type's range, so that nothing is rounded to a float."""
    lowest, highest = _range(dtype)
    if name in ("minimum", "exclusiveMinimum"):
        least = math.ceil(bound) if name == "minimum" else math.floor(bound) + 1
        if least > highest:
            return lambda value: value.is_null()
        return lambda value: value >= max(least, lowest)
    most = math.floor(bound) if name == "maximum" else math.ceil(bound) - 1
    if most < lowest:
        return lambda value: value.is_null()
    return lambda value: value <= min(most, highest)


def _range(dtype: pl.DataType) -> tuple[int, int]:
    bits = next(bits for bits in (8, 16, 32, 64) if str(dtype).endswith(str(bits)))
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dtype.is_signed_integer() else (0, 2**bits - 1)


def _width_condition(column: Column, dtype: pl.DataType) -> Iterator[tuple[str, Condition]]:
    """ODCS `format` of an integer says in how many bits a value fits; a narrower stored type needs no check."""
    sign, bits = INTEGER_FORMATS[column.options["format"]]
    lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if sign == "i" else (0, 2**bits - 1)
    stored_lowest, stored_highest = _range(dtype)
    if stored_lowest < lowest or stored_highest > highest:
        low, high = max(lowest, stored_lowest), min(highest, stored_highest)
        yield "format", lambda value: (value >= low) & (value <= high)


def _multiple_condition(step: float, dtype: pl.DataType) -> Condition:
    exact = Fraction(str(step))
    if dtype.is_integer():  # n is a multiple of p/q (lowest terms) exactly if it is one of p
        lowest, highest = _range(dtype)
        if exact.numerator > max(highest, -lowest):
            return lambda value: value.is_null() | (value == 0)
        return lambda value: value % exact.numerator == 0
    if isinstance(dtype, pl.Decimal):
        exact_step = pl.lit(Decimal(str(step)))
        return lambda value: value % exact_step == 0

    def nearly_whole(value: pl.Expr) -> pl.Expr:
        quotient = value.cast(pl.Float64) / step
        return (quotient - quotient.round()).abs() <= quotient.abs() * _ULPS

    return nearly_whole


def _enum_condition(column: Column, dtype: pl.DataType) -> Condition:
    values = [read_literal(column, value) for value in column.enum or () if value is not None]
    if dtype.is_integer():
        lowest, highest = _range(dtype)
        values = [value for value in values if lowest <= value <= highest and value == int(value)]
    if isinstance(dtype, pl.Decimal):
        values = [Decimal(str(value)) for value in values]
    if isinstance(dtype, pl.Datetime):
        allowed_moments = [literal(value, dtype) for value in values]
        return lambda value: pl.any_horizontal([value == each for each in allowed_moments])
    allowed = pl.Series(values, dtype=dtype) if values else pl.Series([], dtype=dtype)
    return lambda value: value.is_in(allowed.implode())
