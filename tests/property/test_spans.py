"""Spans count exactly the bytes that were read, however a client hops through a file."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from schemas.spans import MOST_SPANS, add_span, count, covers

SIZE = 60
reads = st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, 12)), max_size=40)


@given(reads=reads)
def test_spans_are_the_set_of_bytes_that_were_read(reads: list[tuple[int, int]]) -> None:
    spans: tuple[tuple[int, int], ...] = ()
    model: set[int] = set()
    for start, length in reads:
        spans = add_span(spans, start, start + length)
        model |= set(range(start, start + length))
    assert {byte for start, end in spans for byte in range(start, end)} == model
    assert count(spans) == len(model)
    assert all(start < end for start, end in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    assert covers(spans, SIZE) == (model == set(range(SIZE)))


def test_a_client_that_hops_does_not_make_the_record_grow_and_is_never_said_to_have_read_more() -> None:
    spans: tuple[tuple[int, int], ...] = ()
    for position in range(0, 10 * MOST_SPANS, 2):
        spans = add_span(spans, position, position + 1)
    assert len(spans) == MOST_SPANS
    assert count(spans) == MOST_SPANS


def test_of_an_empty_file_there_is_nothing_to_miss() -> None:
    assert covers((), 0)
    assert not covers((), 1)
