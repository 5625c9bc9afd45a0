"""Fingerprints are the same everywhere and for ever, and differ where rows do."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, time
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnusableInput
from schemas.fingerprints import fingerprints

MOMENT = datetime.fromisoformat("2026-03-01T12:30:15.250")
SAMPLES = {
    "text": pl.Series(["", "a", "a\0", "12345678", "123456789", "é" * 40, "x" * 600, None]),
    "whole": pl.Series([0, 1, -1, 2**40, None], dtype=pl.Int64),
    "float": pl.Series([0.0, 1.5, -1.5, None]),
    "flag": pl.Series([True, False, None]),
    "day": pl.Series([date(1969, 12, 31), date(2026, 3, 1), None]),
    "hour": pl.Series([time(0), time(12, 30), None]),
    "moment": pl.Series([MOMENT, None, datetime.fromisoformat("1960-01-01T00:00:00.000001")]),
    "amount": pl.Series([Decimal("1.50"), Decimal(-2), None], dtype=pl.Decimal(10, 2)),
    "list": pl.Series([["a", None], [], None, ["a"], [None, "a"], ["x"] * 70]),
    "object": pl.Series([{"p": 1, "q": "x"}, {"p": None, "q": None}, None]),
}


def of(*columns, seed=0):
    return fingerprints(columns, seed).tolist()


def test_they_are_those_of_the_first_version():
    """States are kept for years: another number for the same row would tell every row as changed."""
    found = {name: f"{sum(of(values, seed=7)) % 2**64:016x}" for name, values in SAMPLES.items()}
    assert found == {
        "text": "101267d5e956e7d5",
        "whole": "8b87d9ef9b89d660",
        "float": "0ca530551c0c6c46",
        "flag": "abcf4a311b20dd55",
        "day": "aceda615364932e0",
        "hour": "f2b66dc6c4de22b2",
        "moment": "0da29c7a81db07c3",
        "amount": "32a897cf0bb84766",
        "list": "8cf09be5e056f935",
        "object": "0ccd057cf5fd38b0",
    }


@pytest.mark.parametrize("name", SAMPLES)
def test_different_values_have_different_fingerprints(name):
    found = of(SAMPLES[name])
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_row_has_one_fingerprint_in_whatever_batch_it_is(name):
    values = SAMPLES[name]
    whole = of(values)
    assert [of(values.slice(at, 1))[0] for at in range(len(values))] == whole
    assert of(values.slice(1)) == whole[1:]
    assert of(pl.concat([values.head(1), values.slice(1)], rechunk=False)) == whole
    assert of(values.filter(pl.Series([True] * len(values)))) == whole


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int32, pl.UInt64])
def test_integers_of_any_width_are_the_same(dtype):
    assert of(pl.Series([0, 5, None], dtype=dtype)) == of(pl.Series([0, 5, None], dtype=pl.Int64))


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_moments_of_any_unit_are_the_same(unit):
    moments = [MOMENT, datetime.fromisoformat("1912-06-01T00:00:00.999"), None]
    assert of(pl.Series(moments, dtype=pl.Datetime(unit))) == of(pl.Series(moments, dtype=pl.Datetime("us")))


def test_a_moment_in_another_zone_is_the_same_moment():
    zoned = pl.Series([MOMENT.replace(tzinfo=UTC)])
    assert of(zoned) == of(zoned.dt.convert_time_zone("Europe/Amsterdam"))


@pytest.mark.parametrize("scale", [0, 2, 8])
def test_decimals_of_any_scale_are_the_same(scale):
    values = [Decimal(100), Decimal(-20), Decimal(0), None]
    assert of(pl.Series(values, dtype=pl.Decimal(20, scale))) == of(pl.Series(values, dtype=pl.Decimal(12, 1)))


def test_categories_are_their_text():
    assert of(pl.Series(["a", "b", None], dtype=pl.Categorical)) == of(pl.Series(["a", "b", None]))


def test_floats_are_the_same_where_the_numbers_are():
    assert of(pl.Series([-0.0])) == of(pl.Series([0.0]))
    assert of(pl.Series([1.5], dtype=pl.Float32)) == of(pl.Series([1.5]))
    assert of(pl.Series([float("nan")])) == of(-pl.Series([float("nan")]))


def test_what_stands_in_another_column_is_another_row():
    a, b = pl.Series(["x", None, "xy"]), pl.Series([None, "x", ""])
    assert all(one != other for one, other in zip(of(a, b), of(b, a), strict=True))
    assert of(pl.Series(["xy"]), pl.Series(["z"])) != of(pl.Series(["x"]), pl.Series(["yz"]))


def test_nulls_of_more_columns_than_one_word_tells_of_are_told():
    columns = [pl.Series([0], dtype=pl.Int64)] * 130
    nothing = pl.Series([None], dtype=pl.Int64)
    found = {of(*columns[:at], nothing, *columns[at + 1 :])[0] for at in range(130)} | {of(*columns)[0]}
    assert len(found) == 131


def test_another_seed_gives_other_fingerprints():
    assert not set(of(SAMPLES["text"], seed=1)) & set(of(SAMPLES["text"], seed=2))


def test_one_word_more_or_less_is_never_missed():
    """A fold is a bijection: what differs in one word differs in the end."""
    numbers = pl.Series(np.arange(100_000, dtype=np.int64))
    constant = pl.Series(["same"] * 100_000)
    assert len(set(of(constant, numbers, constant))) == 100_000


def test_no_row_has_no_fingerprint():
    assert of(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.List(pl.Int64))) == []


def test_a_type_that_no_contract_has_is_refused():
    with pytest.raises(UnusableInput, match="column it has the type"):
        of(pl.Series("it", [b"x"]))


@given(st.lists(st.lists(st.none() | st.text(), min_size=2, max_size=2), min_size=1))
def test_texts_are_the_same_exactly_where_the_fingerprints_are(rows):
    frame = pl.DataFrame(rows, schema={"a": pl.String, "b": pl.String}, orient="row")
    found = of(*frame.get_columns())
    for (one, other), (first, second) in zip(
        itertools.combinations(rows, 2), itertools.combinations(found, 2), strict=True
    ):
        assert (one == other) == (first == second)


@given(st.lists(st.none() | st.lists(st.none() | st.integers(-3, 3), max_size=70), min_size=1, max_size=20))
def test_lists_are_the_same_exactly_where_the_fingerprints_are(rows):
    found = of(pl.Series(rows, dtype=pl.List(pl.Int8)))
    for (one, other), (first, second) in zip(
        itertools.combinations(rows, 2), itertools.combinations(found, 2), strict=True
    ):
        assert (one == other) == (first == second)
