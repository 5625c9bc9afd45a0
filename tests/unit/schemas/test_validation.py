"""A stream of batches is judged as a whole, strictly, and with counts only."""

import json

import pandera
import polars as pl
import pytest

from core.errors import ColumnNotAgreed, RowsInvalid, Unexpected
from schemas.compiler import compile_table
from schemas.table import Column, Table
from schemas.validation import Validator, prove_it_fails


def validator(*columns, **more):
    return Validator(compile_table(Table("t", columns, **more)))


def found(judge):
    return {(each.column, each.rule): each.count for each in judge.finish().failures}


N = Column("n", "n", "integer", {"minimum": 0}, required=True)


def test_known_bad_frame_is_found():
    prove_it_fails()


def test_validation_that_is_switched_off_is_noticed_before_any_data():
    with (
        pandera.config.config_context(validation_enabled=False),
        pytest.raises(Unexpected, match="does not find known errors"),
    ):
        validator(N)


def test_value_checks_that_are_switched_off_are_noticed():
    depth = pandera.config.ValidationDepth.SCHEMA_ONLY
    with pandera.config.config_context(validation_depth=depth), pytest.raises(Unexpected):
        validator(N)


def test_counts_add_up_over_batches():
    judge = validator(N)
    assert judge.check(pl.DataFrame({"n": [1, -1, None]})) is False
    assert judge.check(pl.DataFrame({"n": [1, 2]})) is True
    assert judge.check(pl.DataFrame({"n": [-1, -2]})) is False
    verdict = judge.finish()
    assert verdict.as_json() == {
        "valid": False,
        "rows": 7,
        "failures": [{"column": "n", "rule": "minimum", "count": 3}, {"column": "n", "rule": "required", "count": 1}],
    }


def test_valid_stream_gives_an_empty_verdict():
    judge = validator(N)
    judge.check(pl.DataFrame({"n": [1]}))
    assert judge.finish().as_json() == {"valid": True, "rows": 1, "failures": []}
    judge.finish().require_valid()


def test_extra_columns_are_counted_and_their_names_kept_out():
    judge = validator(N)
    judge.check(pl.DataFrame({"n": [1], "SECRET1": [1], "SECRET2": [2]}))
    verdict = judge.finish()
    assert found(judge) == {("*", "columnNotAgreed"): 2}
    assert "SECRET" not in json.dumps(verdict.as_json())
    with pytest.raises(ColumnNotAgreed) as caught:
        verdict.require_valid()
    assert "SECRET" not in str(caught.value)


def test_missing_column_is_named():
    judge = validator(N, Column("m", "m", "string"))
    judge.check(pl.DataFrame({"n": [1]}))
    assert found(judge) == {("m", "columnMissing"): 1}


def test_wrong_type_without_rows_is_still_wrong():
    judge = validator(N)
    judge.check(pl.DataFrame({"n": []}, schema={"n": pl.String}))
    assert found(judge) == {("n", "logicalType"): 1}


def test_columns_may_come_in_another_order():
    judge = validator(N, Column("m", "m", "string"))
    assert judge.check(pl.DataFrame({"m": ["x"], "n": [1]}))


def test_batch_with_another_type_than_the_first_fails():
    judge = validator(Column("n", "n", "integer"))
    assert judge.check(pl.DataFrame({"n": pl.Series([1], dtype=pl.Int32)}))
    assert not judge.check(pl.DataFrame({"n": pl.Series([1], dtype=pl.Int64)}))


def test_later_batches_of_another_shape_are_counted_and_do_not_break_down():
    judge = validator(
        N, Column("s", "s", "string", {"pattern": "x"}, unique=True, quality=({"metric": "nullValues", "mustBe": 0},))
    )
    judge.check(pl.DataFrame({"n": [1], "s": ["x"]}))
    judge.check(pl.DataFrame({"n": ["1", None], "s": [1, 1]}))
    judge.check(pl.DataFrame({"n": [1]}))
    assert found(judge) == {("n", "logicalType"): 2, ("s", "logicalType"): 2, ("s", "columnMissing"): 1}


def test_unique_is_judged_over_the_whole_stream():
    judge = validator(Column("n", "n", "integer", unique=True))
    for values in ([1, 2], [3, 1], [1, None], [None]):
        judge.check(pl.DataFrame({"n": values}, schema={"n": pl.Int64}))
    assert found(judge) == {("n", "unique"): 2}


def test_composite_primary_key_is_judged_together_and_never_null():
    judge = validator(
        Column("a", "a", "integer", required=True, primary_key=2), Column("b", "b", "string", primary_key=1)
    )
    judge.check(pl.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"]}))
    judge.check(pl.DataFrame({"a": [1, None], "b": ["x", "x"]}))
    assert found(judge) == {("b,a", "primaryKey"): 1, ("a", "required"): 1}


def test_keys_that_only_look_alike_when_joined_are_different():
    judge = validator(*(Column(name, name, "string", required=True, primary_key=1) for name in "ab"))
    judge.check(pl.DataFrame({"a": ["x", "xy"], "b": ["yz", "z"]}))
    assert found(judge) == {}


def test_unreadable_text_counts_once_and_not_as_null():
    judge = validator(N)
    judge.unreadable("n", 2)
    judge.check(pl.DataFrame({"n": [None, None, None]}, schema={"n": pl.Int64}))
    assert found(judge) == {("n", "logicalType"): 2, ("n", "required"): 1}


def test_error_shows_the_first_failures_and_no_value():
    columns = [Column(name, name, "integer", {"minimum": 7}) for name in "abcdefg"]
    judge = validator(*columns)
    judge.check(pl.DataFrame({name: [1] for name in "abcdefg"}))
    with pytest.raises(RowsInvalid, match=r"a minimum \(1x\).* and 2 more$"):
        judge.finish().require_valid()


def test_breakdown_of_the_validating_library_is_no_pass_and_shows_nothing(monkeypatch):
    judge = validator(N)

    def explode(*_args, **_kwargs):
        raise ValueError("SECRET")

    monkeypatch.setattr(judge._schema.__class__, "validate", explode)
    with pytest.raises(Unexpected) as caught:
        judge.check(pl.DataFrame({"n": [1]}))
    assert "SECRET" not in repr(caught.value)
    assert caught.value.__context__ is None
