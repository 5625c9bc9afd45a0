"""What holds over the whole delivery: references, totals, sums, and what is judged when something is missing."""

import polars as pl
import pytest

import schemas.whole
from core.errors import StorageFull
from schemas.compiler import compile_table
from schemas.scratch import MemoryScratch
from schemas.table import Column, Table
from schemas.validation import Validator
from schemas.verdict import Sum

ID = Column("id", "id", "integer", unique=True)
PARENT = Column("parent", "parent", "integer", relationships=(("t.id",),))
TOTAL = Column("total", "total", "integer", rules=({"rule": "sum-equals", "columns": ["a", "b"], "over": "delivery"},))
A, B = Column("a", "a", "integer"), Column("b", "b", "integer")


def judged(columns, *batches, types=None, **more):
    judge = Validator(compile_table(Table("t", columns)), **more)
    for batch in batches:
        judge.check(pl.DataFrame(batch, schema_overrides=types or {}))
    return judge.finish()


def broken(verdict):
    return {(each.column, each.rule): each.count for each in verdict.failures}


def test_a_reference_may_point_to_a_row_that_comes_later():
    assert broken(judged((ID, PARENT), {"id": [1], "parent": [3]}, {"id": [2, 3], "parent": [1, 2]})) == {}


def test_every_row_that_points_nowhere_counts_and_null_points_nowhere_lawfully():
    verdict = judged((ID, PARENT), {"id": [1, 2], "parent": [9, 9]}, {"id": [3, 4], "parent": [9, None]})
    assert broken(verdict) == {("parent", "foreignKey(id)"): 3}


@pytest.mark.parametrize(("own", "to"), [(pl.Int8, pl.Int64), (pl.Int64, pl.UInt8), (pl.Int16, pl.UInt64)])
def test_numbers_of_other_widths_are_the_same_numbers(own, to):
    types = {"id": to, "parent": own}
    assert broken(judged((ID, PARENT), {"id": [1, 2], "parent": [2, 1]}, types=types)) == {}


def test_a_negative_number_is_not_the_large_one_with_the_same_bits():
    types = {"id": pl.UInt64, "parent": pl.Int64}
    verdict = judged((ID, PARENT), {"id": [2**64 - 1, 7], "parent": [-1, 7]}, types=types)
    assert broken(verdict) == {("parent", "foreignKey(id)"): 1}


def test_a_reference_of_several_columns_points_to_them_together():
    key = [Column(name, name, "string", required=True, primary_key=1) for name in ("a", "b")]
    table = Table("t", (*key, Column("x", "x", "string"), Column("y", "y", "string")),
                  relationships=((("t.x", "t.y"), ("t.a", "t.b")),))  # fmt: skip
    judge = Validator(compile_table(table))
    judge.check(pl.DataFrame({"a": ["1", "2", "3"], "b": ["1", "2", "3"], "x": ["1", "1", None], "y": ["1", "2", "9"]}))
    assert broken(judge.finish()) == {("x,y", "foreignKey(a,b)"): 1}


def test_a_reference_that_cannot_be_judged_is_not_judged():
    for batch in ({"parent": [9]}, {"id": ["9"], "parent": [9]}):
        verdict = judged((ID, PARENT), {"id": [1], "parent": [1]}, batch)
        assert not any(each.rule.startswith("foreignKey") for each in verdict.results)
        assert not verdict.valid


def test_a_reference_to_what_could_not_be_read_is_not_judged():
    judge = Validator(compile_table(Table("t", (ID, PARENT))))
    judge.unreadable("id", 1)
    judge.check(pl.DataFrame({"id": [None], "parent": [9]}, schema={"id": pl.Int64, "parent": pl.Int64}))
    assert broken(judge.finish()) == {("id", "logicalType"): 1}


def test_totals_are_compared_over_all_rows_and_null_adds_nothing():
    rows = [{"total": [10, None], "a": [1, 2], "b": [None, 0]}, {"total": [-1], "a": [4], "b": [2]}]
    assert broken(judged((TOTAL, A, B), *rows)) == {}
    assert broken(judged((TOTAL, A, B), rows[0])) == {("total", "sum-equals(a,b) over delivery"): 1}


def test_totals_beyond_64_bits_are_exact():
    large = 2**63 - 1
    types = {"total": pl.UInt64}
    rows = {"total": [2 * large, 1], "a": [large, 0], "b": [large, 0]}
    assert broken(judged((TOTAL, A, B), *[rows] * 5, types=types)) == {("total", "sum-equals(a,b) over delivery"): 1}
    rows["total"] = [2 * large, 0]
    assert broken(judged((TOTAL, A, B), *[rows] * 5, types=types)) == {}


@pytest.mark.parametrize("name", ["elf", "self", "m0", "exprs"])
def test_a_column_may_be_called_anything_and_is_added_up(name):
    verdict = judged((Column(name, name, "integer"),), {name: [1, 2]}, sums=[name])
    assert verdict.sums == {name: Sum(3, 2)}


def test_sums_are_exact_and_count_the_values_that_are_not_zero():
    verdict = judged(
        (A, B), {"a": [2**62, 0, None], "b": [1, 2, 3]}, {"a": [2**62, -1, 2**62], "b": [0, 0, 0]}, sums=["a"]
    )
    assert verdict.sums == {"a": Sum(3 * 2**62 - 1, 4)}


def test_present_counts_what_is_there_also_what_could_not_be_read():
    judge = Validator(compile_table(Table("t", (A, B))))
    judge.unreadable("a", 1)
    judge.check(pl.DataFrame({"a": [None, None, 3], "b": [1, 2, None]}))
    assert judge.finish().present == {"a": 2, "b": 2}


def test_every_promise_has_a_result_in_the_order_of_the_contract():
    rules = ({"metric": "nullValues", "mustBeLessThan": 50, "unit": "percent", "severity": "warning"},)
    columns = (
        Column("id", "id", "integer", {"minimum": 1}, required=True, unique=True, quality=rules),
        Column("parent", "parent", "integer", relationships=(("t.id",),)),
    )
    verdict = judged(columns, {"id": [1, 0], "parent": [1, 1]})
    assert [
        (each.column, each.rule, each.count, each.holds, each.threshold, each.rows) for each in verdict.results
    ] == [
        ("*", "columnNotAgreed", 0, True, None, ()),
        ("id", "logicalType", 0, True, None, ()),
        ("id", "required", 0, True, None, ()),
        ("id", "minimum", 1, False, None, (2,)),
        ("parent", "logicalType", 0, True, None, ()),
        ("id", "nullValues", 0, True, "mustBeLessThan 50 percent", ()),
        ("id", "unique", 0, True, None, ()),
        ("parent", "foreignKey(id)", 0, True, None, ()),
    ]


def test_rows_are_numbered_over_all_batches_and_only_the_first_are_named():
    batches = [{"n": [1, -1]}, {"n": [1, 1, -1]}, {"n": [-1] * 20}]
    (failed,) = [
        each for each in judged((Column("n", "n", "integer", {"minimum": 0}),), *batches).results if each.count
    ]
    assert (failed.count, failed.rows) == (22, (2, 5, 6, 7, 8, 9, 10, 11, 12, 13))


def test_a_column_of_another_type_says_nothing_about_its_other_promises():
    verdict = judged(
        (Column("n", "n", "integer", {"minimum": 0}, required=True, unique=True), B), {"n": ["1"], "b": [1]}
    )
    assert [(each.column, each.rule) for each in verdict.results if each.column == "n"] == [("n", "logicalType")]


def test_a_verdict_can_be_asked_again_and_grows():
    judge = Validator(compile_table(Table("t", (ID, PARENT))))
    judge.check(pl.DataFrame({"id": [1, 1], "parent": [2, 1]}))
    first = judge.finish()
    assert judge.finish() == first
    judge.check(pl.DataFrame({"id": [2], "parent": [3]}))
    assert broken(judge.finish()) == {("id", "unique"): 1, ("parent", "foreignKey(id)"): 1}


class FullScratch(MemoryScratch):
    def append(self, block):
        raise StorageFull("full")


def test_a_full_disk_keeps_its_name(monkeypatch):
    judge = Validator(compile_table(Table("t", (ID,))), scratch=FullScratch())
    monkeypatch.setattr(schemas.whole, "ROOM", 1)
    with pytest.raises(StorageFull):
        judge.check(pl.DataFrame({"id": [1, 2]}))
