"""Whatever happens to a table over time: all its mutation files, one after another, make what the table is."""

from __future__ import annotations

import itertools
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from flows.steps.mutations.compare import RANGES, ROW, Comparison, States, everything
from keys.scratch import SealedScratch
from schemas.compiler import compile_table
from schemas.mutations import MutationsTerm
from schemas.scratch import MemoryScratch
from schemas.table import Column, Table
from tests.soak import examples

CODES = ("N", "W", "V")
TABLE = Table(
    "t",
    (
        Column("who", "who", "string", required=True, primary_key=1),
        Column("amount", "amount", "integer"),
        Column("no", "no", "integer", required=True, primary_key=2),
        Column("what", "what", "string", required=True, enum=CODES),
        Column("day", "day", "date"),
        Column("words", "words", "array", items=Column("words[]", "words[]", "string")),
    ),
)
COMPILED = compile_table(TABLE)
TERM = MutationsTerm("what", *CODES, key=("who", "no"))
READ = {"who": pl.String, "amount": pl.Int64, "no": pl.Int16, "day": pl.Date, "words": pl.List(pl.String)}
VALUES = st.tuples(
    st.none() | st.integers(-2, 2),
    st.none() | st.dates(date(2026, 1, 1), date(2026, 1, 3)),
    st.none() | st.lists(st.none() | st.sampled_from(["", "a"]), max_size=2),
)
KEYS = st.tuples(st.sampled_from(["", "a", "ab", "b", "é"]), st.integers(0, 3))
TABLES = st.dictionaries(KEYS, VALUES, max_size=12)
SETTINGS = settings(max_examples=examples(20, soak=800), deadline=None)


def frame_of(table: dict[Any, Any], order: Any = None) -> pl.DataFrame:
    rows = [(who, values[0], no, *values[1:]) for (who, no), values in (order or table.items())]
    return pl.DataFrame(rows, schema=READ, orient="row")


def compared(before: list[pl.DataFrame] | None, frames: list[pl.DataFrame], scratch: Any = None, seed: int = 3) -> Any:
    """The mutation frame, what is kept, and the comparison."""
    nothing = pl.DataFrame(schema={"who": pl.String, "no": pl.Int64, ROW: pl.UInt64})
    kept: list[pl.DataFrame] = []
    states = States(iter(before or [nothing] * RANGES), kept.append, seed, everything)
    comparison = Comparison(TERM, COMPILED, states, scratch or MemoryScratch())
    told = list(comparison.told(iter(frames)))
    assert comparison.complete
    return pl.concat(told) if told else None, kept, comparison


def replayed(copy: dict[Any, Any], told: pl.DataFrame | None) -> dict[Any, Any]:
    """What a recipient makes of its copy with a mutation file."""
    copy = dict(copy)
    for row in () if told is None else told.iter_rows(named=True):
        key = (row["who"], row["no"])
        assert (key in copy) == (row["what"] != "N"), "a row is new exactly if the recipient does not have it"
        if row["what"] == "V":
            assert (row["amount"], row["day"], row["words"]) == (None, None, None)
            del copy[key]
        else:
            values = (row["amount"], row["day"], row["words"])
            assert copy.get(key) != values, "nothing is told that stayed as it was"
            copy[key] = values
    return copy


@given(st.lists(TABLES, min_size=1, max_size=6), st.data())
@SETTINGS
def test_all_mutation_files_together_make_the_whole_state(tables, data):
    copy: dict[Any, Any] = {}
    kept = None
    for table in tables:
        order = data.draw(st.permutations(list(table.items())))
        whole = frame_of(table, order)
        cuts = sorted(data.draw(st.lists(st.integers(0, whole.height), max_size=3)))
        frames = [whole[start:end] for start, end in itertools.pairwise([0, *cuts, whole.height])]
        told, kept, comparison = compared(kept, frames)
        before, copy = copy, replayed(copy, told)
        assert copy == table
        counts = comparison.counts
        assert (counts.new, counts.ended) == (len(table.keys() - before.keys()), len(before.keys() - table.keys()))
        assert counts.changed == sum(before[key] != table[key] for key in table.keys() & before.keys())


@given(TABLES, TABLES, st.randoms())
@SETTINGS
def test_the_same_two_states_give_the_same_rows_in_the_same_order(first, second, random):
    kept = compared(None, [frame_of(first)])[1]
    told = compared(kept, [frame_of(second)])[0]
    rows = list(second.items())
    random.shuffle(rows)
    pieces = [frame_of(second, [row]).with_columns(pl.col("amount", "no").cast(pl.Int32)) for row in rows]
    again = compared(kept, pieces)[0]
    if told is None or again is None:
        assert (told, again) == (None, None)
    else:
        assert_frame_equal(told, again, check_dtypes=False)


@pytest.mark.parametrize("rows", [1, 3000])
def test_what_is_laid_aside_on_disk_comes_back_as_it_was(rows):
    table = {(f"w{at % 7}", at): (at, date(2026, 1, 1), ["x" * (at % 5), None]) for at in range(rows)}
    other = {key: values for key, values in table.items() if key[1] % 3}
    with tempfile.TemporaryDirectory() as folder, SealedScratch(Path(folder)) as scratch:
        told, kept, _ = compared(None, [frame_of(table)], scratch)
        assert replayed({}, told) == table
        told, _, _ = compared(kept, [frame_of(other)], scratch)
        assert replayed(table, told) == other


def test_a_key_that_comes_twice_always_comes_out_twice():
    table = {("a", 1): (1, None, None), ("b", 2): (2, None, None)}
    whole = frame_of(table)
    kept = compared(None, [whole])[1]
    told = compared(kept, [pl.concat([whole, whole.head(1)])])[0]
    assert told["who"].to_list() == ["a", "a"]


def test_a_row_without_a_key_always_comes_out():
    whole = frame_of({("a", 1): (1, None, None)}).with_columns(who=pl.lit(None, pl.String))
    kept = compared(None, [whole])[1]
    assert compared(kept, [whole])[0].filter(pl.col("what") == "N").height == 1


def test_rows_of_types_that_were_not_agreed_pass_and_are_never_complete():
    whole = frame_of({("a", 1): (1, None, None)}).with_columns(pl.col("no").cast(pl.String))
    comparison = Comparison(TERM, COMPILED, States(iter(()), lambda _: None, 0, everything), MemoryScratch())
    assert [frame.height for frame in comparison.told(iter([whole]))] == [1]
    assert not comparison.complete


def test_rows_that_may_not_be_told_do_not_end():
    kept = compared(None, [frame_of({("a", 1): (1, None, None), ("b", 2): (2, None, None)})])[1]
    states = States(iter(kept), lambda _: None, 3, lambda ended: ended.filter(pl.col("who") == "b"))
    comparison = Comparison(TERM, COMPILED, states, MemoryScratch())
    (told,) = comparison.told(iter([]))
    assert told["who"].to_list() == ["b"]
    assert comparison.counts.ended == 1


def test_over_other_columns_every_row_has_changed():
    whole = frame_of({("a", 1): (1, None, None), ("b", 2): (2, None, None)})
    kept = compared(None, [whole], seed=1)[1]
    assert compared(kept, [whole], seed=2)[2].counts.changed == 2
