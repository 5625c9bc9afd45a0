"""gla.filter: rows are selected by what is certain; a literal of another type is refused, never converted."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from core.errors import UnusableInput
from core.period import Period
from schemas.filters import parse_filter


def moment(*parts):
    return datetime(*parts)  # noqa: DTZ001 - a column without time zones


FRAME = pl.DataFrame(
    {
        "i": [1, 2, None],
        "f": [0.5, 1.5, None],
        "s": ["a", "b", None],
        "b": [True, False, None],
        "d": [date(2026, 1, 31), date(2026, 2, 1), None],
        "t": [moment(2026, 1, 31, 23, 59), moment(2026, 2, 1), None],
        "z": pl.Series([datetime(2026, 1, 31, 22, 59, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC), None]),
        "k": ["20260131", "20260201", None],
        "l": ["2026-01-31", "2026-02-01", None],
    }
).with_columns(pl.col("z").dt.convert_time_zone("Europe/Amsterdam"))


def kept(*conditions, period="2026-01"):
    rows = parse_filter(list(conditions)).in_zones({"z": "Europe/Amsterdam"})
    frame = FRAME.with_row_index("row").filter(rows.expression(Period.parse(period), dict(FRAME.schema)))
    return frame["row"].to_list()


def where(column, operator, **more):
    return {"column": column, "operator": operator} | more


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        (where("i", "equals", value=1), [0]),
        (where("i", "notEquals", value=1), [1]),  # null is not certainly different
        (where("i", "lessThan", value=2), [0]),
        (where("i", "lessOrEqualTo", value=2), [0, 1]),
        (where("i", "greaterThan", value=1), [1]),
        (where("i", "greaterOrEqualTo", value=1), [0, 1]),
        (where("i", "in", value=[2, 2**70 // 2**10]), [1]),
        (where("i", "isNull"), [2]),
        (where("i", "isNotNull"), [0, 1]),
        (where("f", "greaterThan", value=1), [1]),
        (where("f", "in", value=[0.5, 1.5]), [0, 1]),
        (where("s", "in", value=["b", "c"]), [1]),
        (where("s", "greaterOrEqualTo", value="b"), [1]),
        (where("b", "equals", value=True), [0]),
        (where("d", "equals", value="2026-01-31"), [0]),
        (where("d", "in", value=["2026-02-01"]), [1]),
        (where("t", "lessThan", value="2026-02-01T00:00:00"), [0]),
        (where("d", "lessThan", bound="period.end"), [0]),
        (where("d", "greaterOrEqualTo", bound="period.end"), [1]),
        (where("t", "lessThan", bound="period.end"), [0]),
        (where("z", "lessThan", bound="period.end"), [0]),  # midnight in the zone of its contract
        (where("k", "lessThan", bound="period.end", format="yyyyMMdd"), [0]),
        (where("l", "greaterOrEqualTo", bound="period.start", format="yyyy-MM-dd"), [0, 1]),
    ],
)
def test_condition_selects_exactly(condition, rows):
    assert kept(condition) == rows


def test_conditions_must_all_hold():
    assert kept(where("i", "greaterThan", value=0), where("s", "equals", value="b")) == [1]
    assert kept() == [0, 1, 2]


def test_condition_that_is_null_does_not_let_a_row_through():
    assert kept(where("i", "notEquals", value=9), where("s", "isNull")) == []


@pytest.mark.parametrize(
    "condition",
    [
        where("i", "equals", value="1"),
        where("i", "equals", value=1.0),
        where("i", "equals", value=True),
        where("i", "in", value=[1, "2"]),
        where("f", "equals", value="1.5"),
        where("s", "equals", value=1),
        where("b", "equals", value=1),
        where("d", "equals", value=20260131),
        where("d", "equals", value="31-01-2026"),
        where("d", "equals", value="2026-02-30"),
        where("t", "equals", value="2026-01-31T00:00:00+01:00"),
        where("i", "lessThan", bound="period.end"),
        where("k", "lessThan", bound="period.end"),
        where("d", "lessThan", bound="period.end", format="yyyyMMdd"),
    ],
)
def test_literal_of_another_type_is_refused(condition):
    with pytest.raises(UnusableInput, match="the filter on"):
        kept(condition)


@pytest.mark.parametrize(
    "value",
    [
        *["i = 1", {"column": "i"}, 5, [5], [[]], [{}], [{"column": "i"}], [{"column": 1, "operator": "isNull"}]],
        [where("i", "like", value="%")],
        [where("i", "sql", value="1=1")],
        [where("i", "equals")],
        [where("i", "equals", value=None)],
        [where("i", "equals", value=[1])],
        [where("i", "equals", value={"a": 1})],
        [where("i", "equals", value=1, bound="period.end")],
        [where("i", "equals", value=1, format="yyyyMMdd")],
        [where("i", "equals", value=1, **{"or": []})],
        [where("i", "isNull", value=1)],
        [where("i", "in", value=1)],
        [where("i", "in", value=[])],
        [where("i", "in", value=[None])],
        [where("i", "in", bound="period.end")],
        [where("d", "lessThan", bound="today")],
        [where("d", "lessThan", bound="period.end", format="dd-MM-yyyy")],
        [where("^.*$", "isNull")],
        [where("*", "isNull")],
        [where("i", "isNull")] * 51,
        [where("i", "in", value=[1] * 10_001)],
    ],
)
def test_filter_that_is_not_understood_is_refused(value):
    with pytest.raises(UnusableInput):
        parse_filter(value)


def test_no_filter_is_every_row():
    assert parse_filter(None) == parse_filter([])


def test_period_bound_without_period_is_refused():
    rows = parse_filter([where("d", "lessThan", bound="period.end")])
    with pytest.raises(UnusableInput, match="needs a period"):
        rows.expression(None, dict(FRAME.schema))


def test_delivered_names_are_renamed_to_source_names():
    rows = parse_filter([where("delivered", "isNull"), where("other", "isNull")])
    assert rows.renamed({"delivered": "Source"}).columns == {"Source", "other"}
