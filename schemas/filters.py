"""Which rows an agreement delivers: the custom property `gla.filter`, a list of conditions that must all hold.

Each condition is {"column", "operator", "value"}, or {"column", "operator", "bound"} where `bound` is "period.start"
(the first day of the delivery's period) or "period.end" (the first day after it), with an optional "format" for dates
kept as text. A column is named by its delivered name, or, if it is not delivered, by its name in the source.
Operators: equals, notEquals, lessThan, lessOrEqualTo, greaterThan, greaterOrEqualTo, in, isNull, isNotNull.

A row whose value is null fails every condition except isNull: only what certainly belongs is delivered. A literal
must have the type of its column; nothing is converted. A moment is local time: of a column with time zones in its
`defaultTimezone`, whatever zone the source stores, so that every source has the same rows; UTC if it has none or is not
in the contract. There is no SQL and no expression language here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import polars as pl

from core.errors import UnusableInput
from core.period import Period
from schemas.filter_terms import COMPARISONS, Term, term
from schemas.table import checked_column_name

MAX_CONDITIONS = 50
MAX_VALUES = 10_000  # of one `in`; a longer list is a participants file, not a filter
_TEXT_DATES = {"yyyyMMdd": "%Y%m%d", "yyyy-MM-dd": "%Y-%m-%d"}
_BOUNDS: dict[str, Callable[[Period], date]] = {
    "period.start": lambda period: period.start,
    "period.end": lambda period: period.end_exclusive,
}
_NULL_TESTS = ("isNull", "isNotNull")
_KEYS: dict[str, tuple[set[str], ...]] = {  # which members a condition may have besides column and operator
    **dict.fromkeys(COMPARISONS, ({"value"}, {"bound"}, {"bound", "format"})),
    **dict.fromkeys(_NULL_TESTS, (set(),)),
    "in": ({"value"},),
}


@dataclass(frozen=True)
class Condition:
    column: str
    operator: str
    value: Any = None
    bound: str | None = None
    format: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class Filter:
    """Conditions that must all hold; none means every row."""

    conditions: tuple[Condition, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        return frozenset(condition.column for condition in self.conditions)

    def renamed(self, names: Mapping[str, str]) -> Filter:
        """The same filter over other column names; a name that is not in `names` stays."""
        renamed = (replace(each, column=names.get(each.column, each.column)) for each in self.conditions)
        return Filter(tuple(renamed))

    def in_zones(self, zones: Mapping[str, str]) -> Filter:
        """The same filter, with moments that are local times of the zone of their column."""
        return Filter(tuple(replace(each, zone=zones.get(each.column, each.zone)) for each in self.conditions))

    def terms(self, period: Period | None, dtypes: Mapping[str, pl.DataType]) -> tuple[Term, ...]:
        """The conditions over columns of the given types, as any source compares; a misfit is `UnusableInput`."""
        return tuple(_term(condition, period, dtypes[condition.column]) for condition in self.conditions)

    def expression(self, period: Period | None, dtypes: Mapping[str, pl.DataType]) -> pl.Expr:
        """One Boolean expression over columns of the given types; a type that does not fit is `UnusableInput`."""
        parts = [each.expression() for each in self.terms(period, dtypes)]
        return pl.all_horizontal(parts) if parts else pl.lit(value=True)


def parse_filter(custom_value: Any) -> Filter:
    """A `Filter` from the JSON value of `gla.filter`; None or an empty list means every row."""
    if custom_value is None:
        return Filter()
    if not isinstance(custom_value, list) or len(custom_value) > MAX_CONDITIONS:
        raise UnusableInput(f"gla.filter must be a list of at most {MAX_CONDITIONS} conditions")
    return Filter(tuple(_condition(at, raw) for at, raw in enumerate(custom_value)))


def _condition(at: int, raw: Any) -> Condition:
    wrong = UnusableInput(f"gla.filter[{at}] must have column, operator and a value or bound that fit the operator")
    if not isinstance(raw, dict) or not isinstance(raw.get("column"), str) or not isinstance(raw.get("operator"), str):
        raise wrong
    if (raw.keys() - {"column", "operator"}) not in _KEYS.get(raw["operator"], ()):
        raise wrong
    if "bound" in raw and (raw["bound"] not in _BOUNDS or raw.get("format", "yyyyMMdd") not in _TEXT_DATES):
        raise UnusableInput(f"gla.filter[{at}] has an unknown bound or format")
    values = raw.get("value") if raw["operator"] == "in" else [raw.get("value", 0)]
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
        raise UnusableInput(f"gla.filter[{at}] needs a list of 1 to {MAX_VALUES} values")
    if not all(isinstance(value, str | int | float | bool) for value in values):
        raise UnusableInput(f"gla.filter[{at}] has a value that is no text, number or Boolean")
    column = checked_column_name(raw["column"])
    return Condition(column, raw["operator"], raw.get("value"), raw.get("bound"), raw.get("format"))


def _term(condition: Condition, period: Period | None, dtype: pl.DataType) -> Term:
    if condition.operator in _NULL_TESTS:
        return Term(condition.column, dtype, condition.operator)
    if condition.operator == "in":
        values = list(condition.value)
    elif condition.bound is None:
        values = [condition.value]
    else:
        values = [_period_bound(condition, condition.bound, period, dtype)]
    literals = [_literal(condition, value, dtype) for value in values]
    try:
        return term(condition.column, dtype, condition.operator, literals, condition.zone)
    except (ValueError, OverflowError):
        pass
    raise UnusableInput(f"the filter on {condition.column} has a value that the column's type ({dtype}) lacks")


def _period_bound(condition: Condition, bound: str, period: Period | None, dtype: pl.DataType) -> str:
    """The day as text in the form that the column's type expects of a literal."""
    if period is None:
        raise UnusableInput(f"the filter on {condition.column} needs a period")
    day = _BOUNDS[bound](period)
    if dtype == pl.String and condition.format is not None:
        return day.strftime(_TEXT_DATES[condition.format])
    if not (dtype == pl.Date or isinstance(dtype, pl.Datetime)) or condition.format is not None:
        raise UnusableInput(f"the filter on {condition.column} compares a day with no date, or text without a format")
    return day.isoformat()


def _literal(condition: Condition, value: Any, dtype: pl.DataType) -> Any:
    try:
        if dtype == pl.Date and isinstance(value, str):
            return date.fromisoformat(value)
        if isinstance(dtype, pl.Datetime) and isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                return moment
        if isinstance(value, _literal_types(dtype)) and isinstance(value, bool) == (dtype == pl.Boolean):
            return value
    except ValueError:
        pass
    raise UnusableInput(f"the filter on {condition.column} has a value that is not of the column's type ({dtype})")


def _literal_types(dtype: pl.DataType) -> tuple[type, ...]:
    if dtype.is_integer():
        return (int,)
    if dtype.is_numeric():
        return (int, float)
    return {pl.String: (str,), pl.Boolean: (bool,)}.get(dtype.base_type(), ())
