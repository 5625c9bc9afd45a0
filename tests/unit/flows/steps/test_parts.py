"""Rows are cut into parts of an exact size, staged side by side, and nothing hangs or is left when one fails."""

from __future__ import annotations

import threading

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.steps.parts import Part, staged_parts
from schemas.manifest import ManifestFile, PakbonFile

DIGEST = "0" * 64


def frames(*sizes):
    start = 0
    for size in sizes:
        yield pl.DataFrame({"n": range(start, start + size)}, schema={"n": pl.Int64})
        start += size


def staging(seen):
    """Stages nothing, and remembers the rows of each part."""

    def stage(number, some):
        rows = [row for frame in some for row in frame["n"].to_list()]
        seen[number] = rows
        plain = PakbonFile(filename=f"p{number}", size=0, checksum=DIGEST, rows=len(rows))
        return [
            Part(plain, ManifestFile(filename=f"p{number}.age", size=0, checksum=DIGEST, content_type="", chunks=()))
        ]

    return stage


def as_it_is(frame):
    return frame


def nobody(_rows):
    """Nobody is told."""


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=8), st.none() | st.integers(1, 30))
def test_every_row_is_in_one_part_in_order_and_each_part_but_the_last_is_full(sizes, most):
    seen, told = {}, []
    parts = staged_parts(frames(*sizes), most, as_it_is, staging(seen), told.append)
    total = sum(sizes)
    assert [row for number in sorted(seen) for row in seen[number]] == list(range(total))
    assert [part.plain.filename for part in parts] == [f"p{number}" for number in sorted(seen)]
    lengths = [part.plain.rows for part in parts]
    assert len(lengths) == max(1, 1 if most is None else -(-total // most))
    assert most is None or (all(length == most for length in lengths[:-1]) and lengths[-1] <= most)
    assert told == sorted(told)
    assert max(told, default=0) == total


def test_parts_are_staged_side_by_side():
    both = threading.Barrier(2, timeout=20)

    def stage(number, some):
        list(some)
        both.wait()
        return staging({})(number, iter(()))

    assert len(staged_parts(frames(2, 2), 2, as_it_is, stage, nobody)) == 2


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_part_that_fails_ends_all_with_its_error(after):
    ended = []

    def stage(number, some):
        try:
            for at, _ in enumerate(some):
                if number == 2 and at == after:
                    raise OSError("disk")
            if number == 2:
                raise OSError("at the end")
        finally:
            ended.append(number)
        return staging({})(number, iter(()))

    with pytest.raises(OSError, match=r"disk|at the end"):
        staged_parts(frames(*[1] * 40), 4, as_it_is, stage, nobody)
    assert len(ended) == len(set(ended)) >= 2


def test_an_error_of_the_rows_abandons_the_parts_that_were_begun():
    abandoned = []

    def stage(number, some):
        try:
            list(some)
        except BaseException:
            abandoned.append(number)
            raise
        return staging({})(number, iter(()))

    def broken():
        yield from frames(3)
        raise ValueError("source")

    with pytest.raises(ValueError, match="source"):
        staged_parts(broken(), 2, as_it_is, stage, nobody)
    assert 2 in abandoned
    assert not [each for each in threading.enumerate() if each.name.startswith("part ")]
