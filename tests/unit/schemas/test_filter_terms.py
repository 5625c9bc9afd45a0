"""A condition over a known type: literals that the type can hold, or one that says the same."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from schemas.filter_terms import Term, term

AMSTERDAM = pl.Datetime("us", "Europe/Amsterdam")
CENTS = pl.Decimal(6, 2)


def naive(*parts):
    return datetime(*parts)  # noqa: DTZ001 - a literal has no zone


@pytest.mark.parametrize(
    ("dtype", "operator", "literal", "then", "value"),
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
def test_a_literal_becomes_one_of_the_type(dtype, operator, literal, then, value):
    found = term("x", dtype, operator, [literal])
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
    zone = ZoneInfo("Europe/Amsterdam")
    [moment] = term("x", AMSTERDAM, "equals", [naive(2026, 10, 25, 2, 30)]).values
    assert moment.astimezone(UTC) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert moment.tzinfo == zone
    with pytest.raises(ValueError, match="skips"):
        term("x", AMSTERDAM, "equals", [naive(2026, 3, 29, 2, 30)])


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Europe/Amsterdam"])
def test_moments_are_compared_in_every_unit_and_zone(unit, zone):
    dtype = pl.Datetime(unit, zone)
    midnight = naive(2026, 7, 1)
    values = pl.Series("x", [midnight, naive(2026, 6, 30, 23, 59, 59, 999_000), None]).cast(pl.Datetime(unit))
    frame = values.dt.replace_time_zone(zone).to_frame().with_row_index("row")
    for operator, rows in [("equals", [0]), ("in", [0]), ("lessThan", [1]), ("notEquals", [1])]:
        assert frame.filter(term("x", dtype, operator, [midnight]).expression())["row"].to_list() == rows


def test_a_number_beyond_all_floats_is_an_error():
    with pytest.raises(OverflowError):
        term("x", pl.Float64(), "lessThan", [10**400])
    with pytest.raises(OverflowError):
        term("x", pl.Float32(), "lessThan", [1e300])
