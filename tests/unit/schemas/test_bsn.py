"""The 11-proef, compared with python-stdnum on test numbers."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.nl import bsn as stdnum_bsn

from schemas.bsn import complete, is_bsn


def judged(*texts):
    return pl.DataFrame({"a": pl.Series(texts, dtype=pl.String)}).select(is_bsn(pl.col("a"))).to_series().to_list()


def test_known_test_numbers_pass():
    assert all(judged("111222333", "123456782", "999990019", "999993653", "111111110"))


@pytest.mark.parametrize(
    "text",
    [
        *["123456789", "210501234", "000000000", "", "11122233", "1112223330", " 11222333", "111222333 "],
        *["+11222333", "-11222333", "111.222.333", "1_1222333", "111222333\n", "１１１222333", "abcdefghi"],  # noqa: RUF001
    ],
)
def test_what_is_no_bsn_as_it_stands_fails(text):
    assert judged(text) == [False]


def test_null_is_left_to_required():
    assert judged(None) == [True]


@settings(deadline=None)
@given(st.lists(st.integers(999_900_000, 999_999_999), min_size=1, max_size=200))
def test_agrees_with_stdnum(numbers):
    texts = [str(number) for number in numbers]
    assert judged(*texts) == [stdnum_bsn.is_valid(text) for text in texts]


@settings(deadline=None)
@given(st.text(alphabet="0123456789+- _.", max_size=12))
def test_agrees_with_stdnum_on_odd_text(text):
    nine_digits = len(text) == 9 and text.isdigit()
    assert judged(text) == [nine_digits and stdnum_bsn.is_valid(text)]


def test_the_reserved_range_has_as_many_valid_numbers_as_counted_elsewhere():
    numbers = complete(pl.int_range(99_990_000, 100_000_000, dtype=pl.UInt32, eager=True))
    assert numbers.len() == 9_091
    assert all(judged(*numbers.cast(pl.String)))
