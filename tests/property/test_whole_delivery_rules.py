"""Rules over the whole delivery, in memory for a handful of keys, say what a naive reading of all rows says."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import schemas.whole
from keys.scratch import SealedScratch
from schemas.compiler import compile_table
from schemas.key_hashes import KeyHashes
from schemas.scratch import MemoryScratch
from schemas.table import Column, Table
from schemas.validation import Validator
from tests.soak import examples

DUPLICATES = {"metric": "duplicateValues", "mustBeLessOrEqualTo": 30, "unit": "percent"}
NULLS = {"metric": "nullValues", "mustBeLessThan": 40, "unit": "percent", "severity": "warning"}
TABLE = Table(
    "t",
    (
        Column("a", "a", "string", required=True, primary_key=1, quality=(DUPLICATES,)),
        Column("b", "b", "integer", required=True, primary_key=2),
        Column("id", "id", "integer", unique=True, quality=(NULLS,)),
        Column("boss", "boss", "integer", relationships=(("t.id",),)),
        Column("x", "x", "string"),
        Column("y", "y", "integer"),
        Column("day", "day", "date", unique=True),
        Column("total", "total", "integer", rules=({"rule": "sum-equals", "columns": ["b", "y"], "over": "delivery"},)),
    ),
    quality=({"metric": "rowCount", "mustBeGreaterThan": 4},),
    relationships=((("t.x", "t.y"), ("t.a", "t.b")),),
)
TYPES = {"a": pl.String, "b": pl.Int32, "id": pl.UInt64, "boss": pl.Int16, "x": pl.String, "y": pl.Int64,
         "day": pl.Date, "total": pl.Int64}  # fmt: skip

words = st.sampled_from(["", "x", "xy", "y", "xyz", "é", "\0"])
small = st.integers(0, 6)
rows = st.fixed_dictionaries(
    {
        "a": words,
        "b": small,
        "id": st.none() | small | st.sampled_from([2**64 - 1, 2**63]),
        "boss": st.none() | st.integers(-1, 6),
        "x": st.none() | words,
        "y": st.none() | small,
        "day": st.none() | st.integers(0, 20).map(lambda days: date(2026, 1, 1) + timedelta(days)),
        "total": st.none() | st.integers(-3, 12),
    }
)
SETTINGS = settings(
    max_examples=examples(30, soak=1_200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def repeated(values):
    whole = [each for each in values if None not in each]
    return len(whole) - len(set(whole))


def dangling(origin, target):
    known = set(target)
    return sum(1 for each in origin if None not in each and each not in known)


def naive(records):
    """Each broken promise with its count, as anybody would work it out with a spreadsheet."""

    def of(*names):
        return [tuple(record[name] for name in names) for record in records]

    def added(name):
        return sum(record[name] or 0 for record in records)

    count = len(records)
    same, nulls = repeated(of("a")), sum(1 for record in records if record["id"] is None)
    found = Counter(
        {
            ("*", "rowCount"): 0 if count > 4 else -1,
            ("a,b", "primaryKey"): repeated(of("a", "b")),
            ("id", "unique"): repeated(of("id")),
            ("day", "unique"): repeated(of("day")),
            ("a", "duplicateValues"): same if count and 100 * same / count > 30 else 0,
            ("id", "nullValues"): nulls if count and 100 * nulls / count >= 40 else 0,
            ("boss", "foreignKey(id)"): dangling(of("boss"), of("id")),
            ("x,y", "foreignKey(a,b)"): dangling(of("x", "y"), of("a", "b")),
            ("total", "sum-equals(b,y) over delivery"): int(added("total") != added("b") + added("y")),
        }
    )
    broken = {promise: number for promise, number in found.items() if number}
    if ("*", "rowCount") in broken:
        broken["*", "rowCount"] = count
    return broken


@SETTINGS
@given(batches=st.lists(st.lists(rows, max_size=12), max_size=6), room=st.sampled_from([1, 10, 40, 1_000]))
def test_any_memory_gives_the_naive_verdict(batches, room, tmp_path, monkeypatch):
    monkeypatch.setattr(schemas.whole, "ROOM", room)
    with SealedScratch(tmp_path) as scratch:
        judge = Validator(compile_table(TABLE), scratch=scratch, sums=["y"])
        for batch in batches:
            judge.check(pl.DataFrame(batch, schema=TYPES))
        verdict = judge.finish()
    records = [record for batch in batches for record in batch]
    assert {(each.column, each.rule): each.count for each in verdict.failures + verdict.warnings} == naive(records)
    assert verdict.rows == len(records)
    assert verdict.present == {name: sum(1 for record in records if record[name] is not None) for name in TYPES}
    ys = [record["y"] or 0 for record in records]
    assert (verdict.sums["y"].total, verdict.sums["y"].nonzero) == (sum(ys), sum(1 for y in ys if y))


hashes = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**56 - 1, 2**56, 2**63, 2**64 - 1])


@SETTINGS
@given(
    own=st.lists(st.lists(hashes, max_size=20), max_size=8),
    to=st.lists(st.lists(hashes, max_size=20), max_size=8),
    room=st.integers(1, 50),
)
def test_hashes_are_counted_as_in_one_list(own, to, room):
    scratch = MemoryScratch()
    origin, target = KeyHashes(scratch, room, counted=True), KeyHashes(scratch, room, counted=False)
    for keys, batches in ((origin, own), (target, to)):
        for batch in batches:
            keys.add(np.array(batch, dtype=np.uint64))
    first, second = [each for batch in own for each in batch], [each for batch in to for each in batch]
    assert origin.repeated() == len(first) - len(set(first))
    assert target.repeated() == len(second) - len(set(second))
    pairs = zip(origin.parts(), target.parts(), strict=True)
    assert sum(part.missing_from(other) for part, other in pairs) == sum(1 for each in first if each not in set(second))


class MeasuringScratch(MemoryScratch):
    largest = 0

    def append(self, block):
        self.largest = max(self.largest, len(block))
        return super().append(block)


@pytest.mark.parametrize("counted", [True, False])
def test_one_value_that_comes_always_takes_the_room_of_one(counted):
    scratch = MeasuringScratch()
    keys = KeyHashes(scratch, 1_000, counted=counted)
    for _ in range(50):
        keys.add(np.full(1_000, 7, dtype=np.uint64))
    assert scratch.largest <= 12
    assert keys.repeated() == 49_999
