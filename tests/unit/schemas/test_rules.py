"""Rules by name find what they name, on whole streams, and are refused where they do not fit."""

from datetime import UTC, date, datetime

import pandera.polars as pa
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import UnusableInput
from core.period import Period
from schemas.compiler import compile_table
from schemas.contract import load_contract
from schemas.rules import TotalRule
from schemas.table import Column, Table
from schemas.validation import Validator
from tests.soak import examples

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


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(25))
@given(st.dates(min_value=date(1, 1, 1)))
def test_every_whole_date_is_a_partial_date(day):
    assert refused("yyyymmdd-partial", [f"{day.year:04}{day.month:02}{day.day:02}"]) == 0


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(25))
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


MARCH = Period.parse("2026-03")


def within(column, values, dtype, period=MARCH):
    """How many values of the column break its rule within-period."""
    judge = Validator(compile_table(Table("t", (column,))), period)
    judge.check(pl.DataFrame({"a": pl.Series(values).cast(dtype)}))
    found = {(each.column, each.rule): each.count for each in judge.finish().failures}
    assert found.keys() <= {("a", "within-period")}
    return found.get(("a", "within-period"), 0)


def test_date_within_the_period_includes_its_first_day_and_not_the_day_after_its_last():
    column = Column("a", "a", "date", rules=("within-period",))
    good, bad = [date(2026, 3, 1), date(2026, 3, 31), None], [date(2026, 2, 28), date(2026, 4, 1)]
    assert within(column, good, pl.Date) == 0
    assert within(column, [*good, *bad], pl.Date) == 2
    assert within(column, [], pl.Date) == 0


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize(("zone", "hours"), [(None, 0), ("UTC", 0), ("Europe/Amsterdam", 1)])
def test_timestamp_within_the_period_is_judged_by_the_day_in_the_default_time_zone(unit, zone, hours):
    options = {"timezone": True, "defaultTimezone": zone} if zone else {}
    column = Column("a", "a", "timestamp", options, rules=("within-period",))
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    start = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) - 3600 * hours
    end = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp()) - 3600 * (hours + (zone == "Europe/Amsterdam"))  # DST
    stored = pl.Datetime(unit, zone)
    assert within(column, [start * per_second, end * per_second - 1, None], stored) == 0
    assert within(column, [start * per_second - 1, end * per_second], stored) == 2
    elsewhere = pl.Datetime(unit, "Asia/Tokyo" if zone else None)
    assert within(column, [start * per_second, end * per_second], elsewhere) == 1


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("yyyyMMdd", ["20260301", "20260331"], ["20260228", "20260401", "2026031", "20260300", "", "2026-03-01"]),
        (
            "yyyy-MM-dd",
            ["2026-03-01", "2026-03-31"],
            ["2026-02-28", "2026-04-01", "2026-3-1", " 2026-03-01", "20260301"],
        ),
    ],
)
def test_text_within_the_period_is_one_of_its_days(form, good, bad):
    column = Column("a", "a", "string", rules=({"rule": "within-period", "format": form},))
    assert within(column, [*good, None], pl.String) == 0
    assert within(column, [*good, *bad], pl.String) == len(bad)


def test_within_period_inside_an_array_is_judged_for_every_item():
    column = Column("a", "a", "array", items=Column("a[]", "a[]", "date", rules=("within-period",)))
    judge = Validator(compile_table(Table("t", (column,))), MARCH)
    judge.check(pl.DataFrame({"a": [[date(2026, 3, 1)], [date(2026, 3, 1), date(2026, 4, 1)], [None], None]}))
    assert {(each.column, each.rule, each.count) for each in judge.finish().failures} == {("a[]", "within-period", 1)}


def test_within_period_without_a_period_is_refused_before_any_row():
    column = Column("a", "a", "date", rules=("within-period",))
    compiled = compile_table(Table("t", (column,)))
    assert compiled.needs_period
    with pytest.raises(UnusableInput, match="--period"):
        Validator(compiled)
    with pytest.raises(UnusableInput, match="--period"):
        compiled.schema_for({})


def test_schema_that_knows_no_period_lets_nothing_pass():
    schema = compile_table(Table("t", (Column("a", "a", "date", rules=("within-period",)),))).schema
    with pytest.raises(pa.errors.SchemaErrors):
        schema.validate(pl.DataFrame({"a": [date(2026, 3, 1)]}), lazy=True)


@pytest.mark.parametrize(
    ("logical_type", "rule"),
    [
        ("date", {"rule": "within-period", "format": "yyyyMMdd"}),
        ("string", "within-period"),
        ("string", {"rule": "within-period", "format": "dd-MM-yyyy"}),
        ("string", {"rule": "within-period", "format": ["yyyyMMdd"]}),
        ("string", {"rule": "within-period", "format": "yyyyMMdd", "lenient": True}),
        ("integer", "within-period"),
        ("time", "within-period"),
    ],
)
def test_within_period_that_does_not_fit_is_refused(logical_type, rule):
    with pytest.raises(UnusableInput, match="within-period"):
        compile_table(Table("t", (Column("a", "a", logical_type, rules=(rule,)),)))


SUM = {"rule": "sum-equals", "columns": ["x", "y"]}
LIMITS = {"i8": (-128, 127), "i64": (-(2**63), 2**63 - 1), "u64": (0, 2**64 - 1)}
DTYPES = {"i8": pl.Int8, "i64": pl.Int64, "u64": pl.UInt64}


def integer(name):
    return Column(name, name, "integer")


def summed(frame, rule=SUM):
    columns = (Column("a", "a", "integer", rules=(rule,)), Column("x", "x", "integer"), Column("y", "y", "integer"))
    return failures(columns, frame)


def test_sum_equals_judges_each_row_and_lets_null_pass():
    rows = [(3, 1, 2), (3, 1, 1), (0, -5, 5), (None, 1, 1), (1, None, 1), (1, 1, None)]
    frame = pl.DataFrame(rows, schema={"a": pl.Int64, "x": pl.Int64, "y": pl.Int64}, orient="row")
    assert summed(frame) == {("a", "sum-equals(x,y)"): 1}
    assert summed(frame.head(0)) == {}


@st.composite
def sums(draw):
    """Three widths, and a value that fits each; the first is often the sum of the others."""
    kinds = draw(st.tuples(*[st.sampled_from(sorted(LIMITS))] * 3))
    total, x, y = (draw(st.integers(*LIMITS[kind])) for kind in kinds)
    fits = LIMITS[kinds[0]][0] <= x + y <= LIMITS[kinds[0]][1]
    return kinds, (x + y if fits and draw(st.booleans()) else total, x, y)


@pytest.mark.soak
@settings(deadline=None, max_examples=examples(20))
@given(sums())
def test_sum_is_exact_in_every_width(case):
    kinds, (total, x, y) = case
    named = zip("axy", (total, x, y), kinds, strict=True)
    frame = pl.DataFrame({name: pl.Series([value], dtype=DTYPES[kind]) for name, value, kind in named})
    assert summed(frame) == ({} if total == x + y else {("a", "sum-equals(x,y)"): 1})


def test_sum_that_overflows_64_bits_is_not_equal_to_what_is_left_over():
    frame = pl.DataFrame({"a": [-2], "x": [2**63 - 1], "y": [2**63 - 1]})
    assert summed(frame) == {("a", "sum-equals(x,y)"): 1}


def test_sum_equals_leaves_a_missing_or_wrong_column_to_its_own_failure():
    frame = pl.DataFrame({"a": [1], "x": [2], "y": ["z"]})
    assert summed(frame) == {("y", "logicalType"): 1}
    assert summed(frame.drop("y")) == {("y", "columnMissing"): 1}


def test_sum_over_the_delivery_stands_beside_the_rows():
    columns = (Column("a", "a", "integer", rules=(SUM | {"over": "delivery"}, SUM)), *map(integer, "xy"))
    compiled = compile_table(Table("t", columns))
    assert compiled.totals == (TotalRule("a", ("x", "y")),)
    assert compiled.totals[0].rule == "sum-equals(x,y) over delivery"
    assert [check.name for check in compiled.schema.columns["a"].checks] == ["sum-equals(x,y)"]


@pytest.mark.parametrize(
    "rule",
    [
        {"rule": "sum-equals"},
        "sum-equals",
        SUM | {"columns": []},
        SUM | {"columns": "x"},
        SUM | {"columns": ["x", "x"]},
        SUM | {"columns": ["a"]},
        SUM | {"columns": ["absent"]},
        SUM | {"columns": [1]},
        SUM | {"columns": ["n"]},
        SUM | {"over": "row"},
        SUM | {"over": None},
        SUM | {"over": "delivery", "columns": ["n"]},
        SUM | {"over": "delivery", "columns": []},
        SUM | {"lenient": True},
    ],
)
def test_sum_that_cannot_be_exact_is_refused(rule):
    columns = (Column("a", "a", "integer", rules=(rule,)), *map(integer, "xy"), Column("n", "n", "number"))
    with pytest.raises(UnusableInput, match=r"column a has a gla\.rule"):
        compile_table(Table("t", columns))


def test_floats_are_refused_since_their_sums_are_not_exact():
    columns = (Column("a", "a", "number", rules=(SUM,)), *map(integer, "xy"))
    with pytest.raises(UnusableInput, match="integers only"):
        compile_table(Table("t", columns))


@pytest.mark.parametrize("rules", [("bsn", "bsn"), ("within-period", "within-period"), (SUM, SUM)])
def test_rule_that_stands_twice_is_refused(rules):
    kind = {"bsn": "string", "within-period": "date"}.get(rules[0] if isinstance(rules[0], str) else "", "integer")
    with pytest.raises(UnusableInput, match="twice"):
        compile_table(Table("t", (Column("a", "a", kind, rules=rules), *map(integer, "xy"))))
