"""Rules by name find what they name, on whole streams, and are refused where they do not fit."""

from datetime import date

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.table import Column, Table
from schemas.validation import Validator

NOT_BEFORE = {"rule": "not-before", "column": "begin"}
BEGIN = Column("begin", "begin", "date")
END = Column("end", "end", "date", rules=(NOT_BEFORE,))


def failures(columns, *frames):
    judge = Validator(compile_table(Table("t", columns)))
    for frame in frames:
        judge.check(frame)
    return {(each.column, each.rule): each.count for each in judge.finish().failures}


def refused(rule, values):
    """How many of the texts break the rule."""
    column = Column("a", "a", "string", rules=(rule,))
    found = failures((column,), pl.DataFrame({"a": pl.Series(values, dtype=pl.String)}))
    assert found.keys() <= {("a", rule)}
    return found.get(("a", rule), 0)


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ("bsn", ["111222333"], ["123456789"]),
        ("rsin", ["111222333", "123456782"], ["123456789", "000000000", "1222333", " 123456782"]),
        (
            "loonheffingennummer",
            ["123456782L01", "111222333L99"],
            [
                "123456789L01",
                "000000000L01",
                "123456782l01",
                "123456782L1",
                "123456782L011",
                "123456782B01",
                "",
                "é" * 12,
            ],
        ),
        (
            "kvk",
            ["68750110", "90000102", "00000001"],
            ["6875011", "687501100", "6875011a", "", "+6875011", "68750110\n"],
        ),
        (
            "yyyymmdd-partial",
            ["20260131", "20240229", "20260200", "20260000", "00000000", "19000101", "20261200"],
            [
                *["20260230", "20230229", "20261301", "20260032", "20260015", "00000101", "00000100", "00010000x"],
                *["2026-1-1", "2026013", "202601311", "", " 2026013", "20260131\n", "２０２６０１３１"],  # noqa: RUF001
            ],
        ),
    ],
)
def test_text_rule_is_enforced_exactly(rule, good, bad):
    assert refused(rule, [*good, None]) == 0
    for each in bad:
        assert refused(rule, [each]) == 1, each
    assert refused(rule, [*good, *bad, None]) == len(bad)


@settings(deadline=None)
@given(st.dates(min_value=date(1, 1, 1)))
def test_every_whole_date_is_a_partial_date(day):
    assert refused("yyyymmdd-partial", [f"{day.year:04}{day.month:02}{day.day:02}"]) == 0


@settings(deadline=None)
@given(st.lists(st.text("0123456789", min_size=8, max_size=8), min_size=1, max_size=50))
def test_partial_dates_agree_with_a_plain_reading(texts):
    assert refused("yyyymmdd-partial", texts) == sum(not is_partial(text) for text in texts)


def is_partial(text):
    year, month, day = int(text[:4]), int(text[4:6]), int(text[6:])
    if (month == 0 and day) or (year == 0 and (month or day)):
        return False
    try:
        date(year or 2000, month or 1, day or 1)
    except ValueError:
        return False
    return True


def test_not_before_compares_rows_and_lets_null_pass():
    days = [date(2026, 1, 1), date(2026, 1, 2), None]
    rows = [(begin, end) for begin in days for end in days]
    frame = pl.DataFrame(rows, schema={"begin": pl.Date, "end": pl.Date}, orient="row")
    assert failures((BEGIN, END), frame) == {("end", "not-before(begin)"): 1}
    assert failures((END, BEGIN), frame.head(0), frame, frame) == {("end", "not-before(begin)"): 2}


def test_not_before_makes_the_batch_fail_at_once():
    judge = Validator(compile_table(Table("t", (BEGIN, END))))
    assert judge.check(pl.DataFrame({"begin": [date(2026, 1, 1)], "end": [date(2026, 1, 1)]}))
    assert not judge.check(pl.DataFrame({"begin": [date(2026, 1, 2)], "end": [date(2026, 1, 1)]}))


def test_not_before_leaves_a_missing_or_wrong_column_to_its_own_failure():
    end = pl.DataFrame({"end": [date(2026, 1, 1)]})
    assert failures((BEGIN, END), end) == {("begin", "columnMissing"): 1}
    assert failures((BEGIN, END), end.with_columns(begin=pl.lit("x"))) == {("begin", "logicalType"): 1}
    begin = pl.DataFrame({"begin": [date(2026, 1, 1)]})
    assert failures((BEGIN, END), begin) == {("end", "columnMissing"): 1}
    assert failures((BEGIN, END), begin.with_columns(end=pl.lit("x"))) == {("end", "logicalType"): 1}


def test_not_before_with_two_columns_counts_each():
    end = Column("end", "end", "date", rules=(NOT_BEFORE, {"rule": "not-before", "column": "birth"}))
    frame = pl.DataFrame({"begin": [date(2026, 1, 2)], "birth": [date(2026, 1, 2)], "end": [date(2026, 1, 1)]})
    both = {("end", "not-before(begin)"): 1, ("end", "not-before(birth)"): 1}
    assert failures((BEGIN, Column("birth", "birth", "date"), end), frame) == both


@pytest.mark.parametrize(
    "rule",
    [
        *["not-before", "BSN", "", "sum-equals", None, 1, ["bsn"], {"rule": "bsn"}, {"rule": "not-before"}],
        *[NOT_BEFORE | {"strict": True}, NOT_BEFORE | {"column": "absent"}, NOT_BEFORE | {"column": "end"}],
        *[NOT_BEFORE | {"column": ["begin"]}, NOT_BEFORE | {"column": "text"}, "bsn", "yyyymmdd-partial"],
    ],
)
def test_rule_that_does_not_fit_a_date_is_refused_when_compiled(rule):
    columns = (BEGIN, Column("text", "text", "string"), Column("end", "end", "date", rules=(rule,)))
    with pytest.raises(UnusableInput, match=r"column end has a gla\.rule"):
        compile_table(Table("t", columns))


def test_not_before_on_text_is_refused_since_partial_dates_have_no_order():
    with pytest.raises(UnusableInput, match="compares two dates"):
        compile_table(Table("t", (BEGIN, Column("end", "end", "string", rules=(NOT_BEFORE,)))))


def test_rules_are_read_from_a_contract():
    contract = b"""
apiVersion: v3.2.0
kind: DataContract
id: c
version: 1.0.0
status: active
schema:
  - name: t
    properties:
      - {name: begin, physicalName: b, logicalType: date}
      - name: end
        logicalType: date
        customProperties: [{property: gla.rule, value: {rule: not-before, column: begin}}]
      - name: employer
        logicalType: string
        customProperties: [{property: gla.rule, value: loonheffingennummer}]
"""
    judge = Validator(compile_table(load_contract(contract).table))
    day = date(2026, 1, 2)
    judge.check(pl.DataFrame({"begin": [day], "end": [date(2026, 1, 1)], "employer": ["123456782L00x"]}))
    found = {(each.column, each.rule): each.count for each in judge.finish().failures}
    assert found == {("employer", "loonheffingennummer"): 1, ("end", "not-before(begin)"): 1}
