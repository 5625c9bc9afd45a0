"""Rules by name: what a column's custom property `gla.rule` may say. A name that is not here is refused.

`value` is a name, for a rule on text, also on text inside arrays and objects::

    bsn                   nine digits that pass the 11-proef
    rsin                  the same test (an RSIN and a BSN come from one series of fiscal numbers)
    loonheffingennummer   an RSIN or BSN, then L and two digits: 123456782L01
    kvk                   eight digits; the number has no check digit
    yyyymmdd-partial      a date of which the day, or month and day, or all may be unknown and then are zeros:
                          20260230 is none, 20260200, 20260000 and 00000000 are

for a date, a timestamp, or text that writes a whole date::

    within-period                                       the day lies in the period of the delivery
    {"rule": "within-period", "format": "yyyyMMdd"}     text; or "yyyy-MM-dd"

or a mapping, for a rule that compares a column with others of the same row::

    {"rule": "not-before", "column": "begin"}        both columns have logicalType date, and this one is not earlier
    {"rule": "sum-equals", "columns": ["a", "b"]}    integers: this one is the exact sum of those
    {"rule": "sum-equals", "columns": ["a", "b"], "over": "delivery"}    of each column all rows are added up first

Null passes every rule, and so does a comparison or row's sum with null. A rule judges the value as it stands: nothing
is trimmed or padded. A timestamp's day is the day in its defaultTimezone. Expressions only, so that millions of rows
cost no Python per row, and no value can end up in a message.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import polars as pl

from core.errors import UnusableInput
from core.period import Period
from schemas.bsn import NOBODY, halves_pass_eleven_test, is_bsn
from schemas.exact import Condition, compare
from schemas.table import Column

_PARTIAL_DATE = r"^[0-9]{4}(0000|(0[1-9]|1[0-2])(0[0-9]|[12][0-9]|3[01]))$"
_ALL_UNKNOWN = "00000000"
_WITHIN_PERIOD = "within-period"
_OF_COLUMNS = ("not-before", "sum-equals")
_TEXT_DATES = {"yyyyMMdd": "%Y%m%d", "yyyy-MM-dd": "%Y-%m-%d"}


@dataclass(frozen=True)
class Row:
    """What a rule may compare a value with: the other columns, with their stored types, and the period."""

    columns: Mapping[str, Column]
    dtypes: Mapping[str, pl.DataType]
    period: Period


@dataclass(frozen=True)
class Rule:
    """`name` is how a verdict calls it; `others` are the columns that it compares with."""

    name: str
    condition: Condition
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class TotalRule:
    """The sum of `column` over all rows equals the sum of all `columns` over all rows, exactly; null adds nothing."""

    column: str
    columns: tuple[str, ...]

    @property
    def rule(self) -> str:
        return f"sum-equals({','.join(self.columns)}) over delivery"


def column_rules(column: Column, dtype: pl.DataType, row: Row) -> Iterator[Rule]:
    """The rules of one column that judge rows; `UnusableInput` for one that is unknown, misfits or stands twice."""
    same = [value if _name(value) in _OF_COLUMNS else _name(value) for value in column.rules]
    if any(same.count(each) > 1 for each in same):
        raise UnusableInput(f"column {column.name} has a gla.rule twice")
    for value in column.rules:
        if _name(value) in _OF_COLUMNS and column.name not in row.columns:
            raise UnusableInput(
                f"column {column.name} has a gla.rule {_name(value)}, which only a whole column can have"
            )
        if not _is_total(value):
            yield _rule(column, dtype, row, value)


def totals(columns: tuple[Column, ...]) -> tuple[TotalRule, ...]:
    """The rules that judge the sums of the whole delivery."""
    by_name = {column.name: column for column in columns}
    return tuple(
        TotalRule(column.name, _terms(column, by_name, value, "over"))
        for column in columns
        for value in column.rules
        if _is_total(value)
    )


def needs_period(column: Column) -> bool:
    """Whether a rule of the column, or of what stands in it, compares with the period."""
    return any(_name(value) == _WITHIN_PERIOD for each in column.walk() for value in each.rules)


def _name(value: Any) -> Any:
    """The name of a rule; of something that is no rule, whatever it is, also a name that is unknown."""
    return value.get("rule") if isinstance(value, Mapping) else value


def _is_total(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("rule") == "sum-equals" and value.get("over") == "delivery"


def _rule(column: Column, dtype: pl.DataType, row: Row, value: Any) -> Rule:
    if isinstance(value, str) and value in TEXT_RULES and column.logical_type == "string":
        return Rule(value, TEXT_RULES[value])
    if _name(value) == _WITHIN_PERIOD:
        return Rule(_WITHIN_PERIOD, _within_period(column, dtype, row.period, value))
    if isinstance(value, Mapping) and value.get("rule") == "not-before":
        return _not_before(column, row.columns, value)
    if isinstance(value, Mapping) and value.get("rule") == "sum-equals":
        return _sum_equals(column, row, value)
    raise UnusableInput(f"column {column.name} has a gla.rule that is unknown for {column.logical_type}")


def _not_before(column: Column, columns: Mapping[str, Column], value: Mapping[str, Any]) -> Rule:
    other = value.get("column")
    if set(value) != {"rule", "column"} or not isinstance(other, str) or other not in columns or other == column.name:
        raise UnusableInput(f"column {column.name} has a gla.rule not-before that does not name another column")
    if not column.logical_type == columns[other].logical_type == "date":
        raise UnusableInput(f"column {column.name} has a gla.rule not-before, which compares two dates")
    return Rule(f"not-before({other})", lambda day: day >= pl.col(other), (other,))


def _sum_equals(column: Column, row: Row, value: Mapping[str, Any]) -> Rule:
    terms = _terms(column, row.columns, value)
    may_overflow = any(row.dtypes[each] in (pl.Int64, pl.UInt64) for each in (column.name, *terms))
    wide = pl.Int128() if may_overflow else pl.Int64()

    def adds_up(total: pl.Expr) -> pl.Expr:
        first, *rest = (pl.col(each).cast(wide) for each in terms)
        return total.cast(wide) == sum(rest, first)

    return Rule(f"sum-equals({','.join(terms)})", adds_up, terms)


def _terms(column: Column, columns: Mapping[str, Column], value: Mapping[str, Any], *more_keys: str) -> tuple[str, ...]:
    """The columns that are added up: each once, other columns of the table, whole numbers."""
    terms = value.get("columns")
    if set(value) != {"rule", "columns", *more_keys} or not isinstance(terms, list) or not terms:
        raise UnusableInput(f"column {column.name} has a gla.rule sum-equals without a list of columns")
    if not all(isinstance(each, str) and each in columns and each != column.name for each in terms):
        raise UnusableInput(f"column {column.name} has a gla.rule sum-equals that does not name other columns")
    if len(set(terms)) != len(terms):
        raise UnusableInput(f"column {column.name} has a gla.rule sum-equals that names a column twice")
    if any(each.logical_type != "integer" for each in (column, *(columns[each] for each in terms))):
        raise UnusableInput(f"column {column.name} has a gla.rule sum-equals, which adds up integers only")
    return tuple(terms)


def _within_period(column: Column, dtype: pl.DataType, period: Period, value: Any) -> Condition:
    form = value.get("format") if isinstance(value, Mapping) else None
    known = value == _WITHIN_PERIOD or set(value) <= {"rule", "format"}
    if known and form is None and column.logical_type in ("date", "timestamp"):
        start, end = (_beginning(column, day) for day in (period.start, period.end_exclusive))
        from_start = compare("minimum", column, start, dtype)
        before_end = compare("exclusiveMaximum", column, end, dtype)
        return lambda moment: from_start(moment) & before_end(moment)
    if known and column.logical_type == "string" and isinstance(form, str) and form in _TEXT_DATES:
        return _text_within_period(form, period)
    raise UnusableInput(
        f"column {column.name} has a gla.rule within-period, which fits dates, timestamps, "
        f"and text with a format {' or '.join(_TEXT_DATES)}"
    )


def _text_within_period(form: str, period: Period) -> Condition:
    """Whether the text is one of the period's days as it is written: eight times faster than to parse each text."""
    days = pl.date_range(period.start, period.end_exclusive, closed="left", eager=True).dt.to_string(_TEXT_DATES[form])
    return lambda text: text.is_in(days.implode())


def _beginning(column: Column, day: date) -> date | datetime:
    return day if column.logical_type == "date" else datetime.combine(day, time())


def _is_loonheffingennummer(text: pl.Expr) -> pl.Expr:
    """The number's halves are cut out once each; cut out as a whole it would be for every look at it."""
    high, low = (text.str.slice(*cut).cast(pl.UInt32, strict=False) for cut in ((0, 5), (5, 4)))
    form = text.str.contains(r"^[0-9]{9}L[0-9]{2}$") & ~text.str.starts_with(NOBODY)
    return form & halves_pass_eleven_test(high, low)


def _is_kvk(text: pl.Expr) -> pl.Expr:
    return text.str.contains(r"^[0-9]{8}$")


def _is_partial_date(text: pl.Expr) -> pl.Expr:
    """Where a part is unknown, so is each smaller part; a day that is known must exist in its month."""
    exists = text.str.ends_with("00") | text.str.strptime(pl.Date, "%Y%m%d", strict=False).is_not_null()
    known_year = ~text.str.starts_with(_ALL_UNKNOWN[:4])
    return (text == _ALL_UNKNOWN) | (text.str.contains(_PARTIAL_DATE) & known_year & exists)


TEXT_RULES: dict[str, Condition] = {
    "bsn": is_bsn,
    "rsin": is_bsn,
    "loonheffingennummer": _is_loonheffingennummer,
    "kvk": _is_kvk,
    "yyyymmdd-partial": _is_partial_date,
}
