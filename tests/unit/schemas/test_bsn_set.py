"""A set of citizen numbers is exact: it holds who was put in, and nobody else, as a set of Python's would."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bsn import complete
from schemas.bsn_set import BsnSet
from tests.participants_world import numbers_for_tests
from tests.soak import examples

NUMBERS = [int(each) for each in numbers_for_tests(400)]
some = st.lists(st.sampled_from(NUMBERS), max_size=60)


def made(numbers: list[int]) -> BsnSet:
    people = BsnSet()
    people.add(np.array(numbers, dtype=np.uint32))
    return people


def listed(people: BsnSet) -> list[int]:
    return [number for part in people.numbers() for number in part.tolist()]


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(25))
@given(some, some)
def test_it_is_a_set(one: list[int], other: list[int]) -> None:
    a, b = made(one), made(other)
    assert listed(a) == sorted(set(one))
    assert a.count == len(set(one))
    assert listed(a.union(b)) == sorted({*one, *other})
    assert listed(a.without(b)) == sorted(set(one) - set(other))
    assert a.issubset(b) == (set(one) <= set(other))


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(25))
@given(some, some)
def test_adding_tells_what_was_there(first: list[int], second: list[int]) -> None:
    people, seen = BsnSet(), set()
    for numbers in (first, second):
        expected = []
        for number in numbers:
            expected.append(number in seen)
            seen.add(number)
        assert people.add(np.array(numbers, dtype=np.uint32)).tolist() == expected


texts = st.one_of(
    st.sampled_from(NUMBERS).map(str),
    st.sampled_from(NUMBERS).flatmap(lambda number: st.integers(0, 9).map(lambda last: f"{number // 10}{last}")),
    st.text("0123456789+- \n", max_size=11),
    st.text(max_size=10),
    st.none(),
)


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(25))
@given(some, st.lists(texts, max_size=40))
def test_text_is_held_only_if_it_is_the_number_of_somebody_in_it(numbers: list[int], column: list[str | None]) -> None:
    held = made(numbers).holds(pl.Series(column, dtype=pl.String)).to_list()
    assert held == [text in {str(number) for number in numbers} for text in column]


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(25))
@given(some, st.lists(st.one_of(st.sampled_from(NUMBERS), st.integers(-(2**63), 2**63 - 1), st.none())))
def test_a_whole_number_is_held_only_if_it_is_the_number_of_somebody_in_it(
    numbers: list[int], column: list[int | None]
) -> None:
    held = made(numbers).holds(pl.Series(column, dtype=pl.Int64)).to_list()
    assert held == [number in numbers for number in column]


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt8, pl.Int32, pl.UInt32, pl.UInt64])
def test_every_width_of_number_is_looked_up(dtype: type[pl.DataType]) -> None:
    people = made(NUMBERS)
    assert people.holds(pl.Series([1, 0, None], dtype=dtype)).to_list() == [False, False, False]
    if dtype in (pl.Int32, pl.UInt32, pl.UInt64):
        assert people.holds(pl.Series(NUMBERS, dtype=dtype)).all()


def test_leading_zeros_count_in_text_and_not_in_numbers() -> None:
    small = complete(pl.Series(range(1_000, 1_010), dtype=pl.UInt32))[0]  # from 0000, a range for testing
    people = made([small])
    assert people.holds(pl.Series([f"{small:09}", f"{small}"])).to_list() == [True, False]
    assert people.holds(pl.Series([small])).to_list() == [True]


@pytest.mark.parametrize("column", [pl.Series([1.5]), pl.Series([b"999990019"]), pl.Series([["999990019"]])])
def test_a_column_of_another_kind_is_refused(column: pl.Series) -> None:
    with pytest.raises(TypeError):
        made(NUMBERS).holds(column)


def test_nobody_is_held_by_a_set_of_nobody() -> None:
    assert BsnSet().count == 0
    assert listed(BsnSet()) == []
    assert not BsnSet().holds(pl.Series(["000000000", "999990019"])).any()
    assert not BsnSet().holds(pl.Series([0, 999990019])).any()
