"""A condition over a known type: literals that the type can hold, or one that says the same."""

import operator
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from schemas.filter_terms import Term, term

CENTS = pl.Decimal(6, 2)


def naive(*parts):
    return datetime(*parts)  # noqa: DTZ001 - a literal has no zone


@pytest.mark.parametrize(
    ("dtype", "word", "literal", "then", "value"),
    [
        (pl.Int16(), "lessThan", 32767, "lessThan", 32767),
        (pl.Int16(), "lessThan", 32768, "isNotNull", None),
        (pl.Int16(), "greaterThan", 32768, "never", None),
        (pl.Int16(), "greaterOrEqualTo", -32769, "isNotNull", None),
        (pl.Int16(), "lessOrEqualTo", -32769, "never", None),
        (pl.Int16(), "equals", 32768, "never", None),
        (pl.Int16(), "notEquals", 32768, "isNotNull", None),
        (pl.UInt64(), "greaterThan", -1, "isNotNull", None),
        (pl.UInt64(), "equals", 2**64 - 1, "equals", 2**64 - 1),
        (CENTS, "equals", 0.1, "equals", Decimal("0.10")),
        (CENTS, "equals", 0.105, "never", None),
        (CENTS, "lessThan", 0.105, "lessOrEqualTo", Decimal("0.10")),
        (CENTS, "lessOrEqualTo", -0.105, "lessOrEqualTo", Decimal("-0.11")),
        (CENTS, "greaterThan", 0.105, "greaterOrEqualTo", Decimal("0.11")),
        (CENTS, "greaterOrEqualTo", -0.105, "greaterOrEqualTo", Decimal("-0.10")),
        (CENTS, "lessThan", 9999.991, "isNotNull", None),
        (CENTS, "lessThan", 9999.99, "lessThan", Decimal("9999.99")),
        (pl.Float64(), "equals", 1, "equals", 1.0),
        (pl.Float32(), "equals", 0.1, "equals", 0.10000000149011612),
        (pl.Date(), "equals", date(2026, 1, 1), "equals", date(2026, 1, 1)),
    ],
)
def test_a_literal_becomes_one_of_the_type(dtype, word, literal, then, value):
    found = term("x", dtype, word, [literal])
    assert found == Term("x", dtype, then, () if value is None else (value,))
    assert [type(each) for each in found.values] == ([] if value is None else [type(value)])


def test_a_list_keeps_what_the_type_can_hold():
    assert term("x", pl.Int8(), "in", [1, 300, -128]).values == (1, -128)
    assert term("x", CENTS, "in", [0.1, 0.105, 10**6]).values == (Decimal("0.10"),)
    assert term("x", pl.Int8(), "in", [300]).operator == "never"
    assert term("x", pl.Datetime("ms"), "in", [naive(2026, 1, 1), naive(2026, 1, 1, 0, 0, 0, 1)]).values == (
        naive(2026, 1, 1),
    )
    assert term("x", pl.Datetime("ns"), "in", [naive(2500, 1, 1)]).operator == "never"


def test_a_local_time_is_the_earlier_one_where_the_clock_goes_back_and_none_where_it_skips():
    for stored in ("UTC", "Europe/Amsterdam", "America/New_York"):
        dtype = pl.Datetime("us", stored)
        [moment] = term("x", dtype, "equals", [naive(2026, 10, 25, 2, 30)], "Europe/Amsterdam").values
        assert (moment, moment.tzinfo) == (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), UTC)
        with pytest.raises(ValueError, match="skips"):
            term("x", dtype, "equals", [naive(2026, 3, 29, 2, 30)], "Europe/Amsterdam")


def test_a_day_before_the_end_of_all_days_is_one_in_every_zone():
    [moment] = term("x", pl.Datetime("us", "Asia/Tokyo"), "lessThan", [naive(9999, 12, 31, 23)]).values
    assert moment == datetime(9999, 12, 31, 23, tzinfo=UTC)


UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}
EXACTLY = {
    "equals": operator.eq,
    "notEquals": operator.ne,
    "lessThan": operator.lt,
    "lessOrEqualTo": operator.le,
    "greaterThan": operator.gt,
    "greaterOrEqualTo": operator.ge,
    "in": operator.eq,
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("stored", [None, "UTC", "Europe/Amsterdam", "+01:00"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Amsterdam"])
@pytest.mark.parametrize("midnight", [naive(2026, 7, 1), naive(1950, 7, 1)])
def test_moments_are_compared_exactly_in_every_unit_and_zone(unit, stored, zone, midnight):
    """No value is rounded: not one between two literals, and no literal between two values."""
    dtype, per_second = pl.Datetime(unit, stored), UNITS[unit]
    at = midnight.replace(tzinfo=ZoneInfo("UTC" if stored is None else zone))
    second = round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    values = [second * per_second + more for more in (-per_second, -1, 0, 1, per_second // 2, per_second)]
    frame = pl.DataFrame({"x": pl.Series([*values, None], dtype=pl.Int64).cast(dtype)})
    for word, holds in EXACTLY.items():
        for microseconds in (0, 1, 500, 999, 1000, 500_000, 999_999):
            literal = midnight.replace(microsecond=microseconds)
            kept = frame.filter(term("x", dtype, word, [literal], zone).expression())["x"].to_physical().to_list()
            exact = second + Fraction(microseconds, 10**6)
            assert kept == [value for value in values if holds(Fraction(value, per_second), exact)], (word, literal)


@pytest.mark.parametrize(("word", "rows"), [("lessThan", 1), ("notEquals", 1), ("greaterThan", 0), ("in", 0)])
def test_a_moment_that_nanoseconds_cannot_hold_is_later_than_all_of_them(word, rows):
    dtype = pl.Datetime("ns")
    frame = pl.DataFrame({"x": pl.Series([0, None], dtype=pl.Int64).cast(dtype)})
    assert frame.filter(term("x", dtype, word, [naive(9999, 12, 31)]).expression()).height == rows


def test_a_number_beyond_all_floats_is_an_error():
    with pytest.raises(OverflowError):
        term("x", pl.Float64(), "lessThan", [10**400])
    with pytest.raises(OverflowError):
        term("x", pl.Float32(), "lessThan", [1e300])
