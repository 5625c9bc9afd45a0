"""ODCS library quality rules: metrics, operators, units, severities; the rest is refused."""

from decimal import Decimal

import polars as pl
import pytest

from core.errors import UnusableInput
from schemas.compiler import compile_table
from schemas.table import Column, Table
from schemas.validation import Validator


def verdict(values, *rules, table_rules=(), logical_type="string"):
    column = Column("a", "a", logical_type, quality=rules)
    judge = Validator(compile_table(Table("t", (column,), quality=tuple(table_rules))))
    half = len(values) // 2
    for part in (values[:half], values[half:]):
        judge.check(pl.DataFrame({"a": pl.Series(part, dtype=pl.String)}))
    return judge.finish()


def failed(*args, **kwargs):
    return {(each.column, each.rule): each.count for each in verdict(*args, **kwargs).failures}


VALUES = ["a", "b", "b", "b", "", None, "n/a", None, "c", "c"]


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        ({"metric": "nullValues"}, 2),
        ({"metric": "missingValues", "arguments": {"missingValues": [None, "", "n/a"]}}, 4),
        ({"metric": "invalidValues", "arguments": {"validValues": ["a", "b", None]}}, 4),
        ({"metric": "invalidValues", "arguments": {"pattern": "^[a-c]$"}}, 2),
        ({"metric": "invalidValues", "arguments": {"pattern": "^[a-c]$", "validValues": ["a", "", "c"]}}, 5),
        ({"metric": "duplicateValues"}, 3),
    ],
)
def test_metric_counts_over_the_whole_stream(rule, count):
    assert failed(VALUES, rule | {"mustBe": count}) == {}
    assert failed(VALUES, rule | {"mustNotBe": count}) == {("a", rule["metric"]): count}


@pytest.mark.parametrize(
    ("operator", "good", "bad"),
    [
        ("mustBe", 2, 3),
        ("mustNotBe", 3, 2),
        ("mustBeGreaterThan", 1, 2),
        ("mustBeGreaterOrEqualTo", 2, 3),
        ("mustBeLessThan", 3, 2),
        ("mustBeLessOrEqualTo", 2, 1),
        ("mustBeBetween", [1, 3], [3, 4]),
        ("mustBeBetween", [1.9, 2.1], [2, 4]),
        ("mustBeBetween", [0, 3], [0, 2]),
        ("mustNotBeBetween", [3, 4], [1, 3]),
        ("mustNotBeBetween", [2, 4], [1.9, 2.1]),
    ],
)
def test_every_operator(operator, good, bad):
    assert failed(VALUES, {"metric": "nullValues", operator: good}) == {}
    assert failed(VALUES, {"metric": "nullValues", operator: bad}) == {("a", "nullValues"): 2}


def test_unit_percent_is_of_all_rows():
    rule = {"metric": "nullValues", "unit": "percent"}
    assert failed(VALUES, rule | {"mustBeLessOrEqualTo": 20}) == {}
    assert failed(VALUES, rule | {"mustBeLessThan": 20}) == {("a", "nullValues"): 2}
    assert failed([], rule | {"mustBeLessThan": 1}) == {}


def test_row_count_and_duplicates_of_the_table():
    rules = [{"metric": "rowCount", "mustBeBetween": [11, 20]}]
    assert failed(VALUES, table_rules=rules) == {("*", "rowCount"): 10}
    rules = [{"metric": "duplicateValues", "arguments": {"properties": ["a"]}, "mustBe": 0}]
    assert failed(VALUES, table_rules=rules) == {("a", "duplicateValues"): 3}


def test_a_warning_does_not_make_a_delivery_invalid():
    for severity in ("warning", "info"):
        judged = verdict(VALUES, {"metric": "nullValues", "mustBe": 0, "severity": severity})
        assert judged.valid
        assert [(each.rule, each.count) for each in judged.warnings] == [("nullValues", 2)]
        assert judged.as_json() == {"valid": True, "rows": 10, "failures": []}


def test_text_rules_are_prose():
    assert failed(VALUES, {"type": "text", "description": "verified by the system"}) == {}


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "sql", "query": "select 1", "mustBe": 0},
        {"type": "custom", "engine": "soda", "implementation": "x"},
        {"type": "library", "description": "nothing"},
        {"metric": "nullValues"},
        {"metric": "nullValues", "mustBe": "0"},
        {"metric": "nullValues", "mustBe": True},
        {"metric": "nullValues", "mustBe": 0, "severity": "whatever"},
        {"metric": "nullValues", "mustBe": 0, "unit": "bananas"},
        {"metric": "nullValues", "mustBe": 0, "arguments": {"x": 1}},
        {"metric": "rowCount", "mustBe": 0},
        {"metric": "missingValues", "mustBe": 0},
        {"metric": "missingValues", "mustBe": 0, "arguments": {"missingValues": [1]}},
        {"metric": "invalidValues", "mustBe": 0},
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "(?=a)"}},
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": "a"}},
    ],
)
def test_column_rule_that_is_not_understood_is_refused(rule):
    with pytest.raises(UnusableInput):
        verdict([], rule)


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "rowCount", "mustBe": 50, "unit": "percent"},
        {"metric": "nullValues", "mustBe": 0},
        {"metric": "duplicateValues", "mustBe": 0},
        {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["zz"]}},
        {"type": "sql", "query": "select 1", "mustBe": 0},
    ],
)
def test_table_rule_that_is_not_understood_is_refused(rule):
    with pytest.raises(UnusableInput):
        verdict([], table_rules=[rule])


def test_pattern_rule_on_a_number_is_refused():
    with pytest.raises(UnusableInput, match="fits strings only"):
        verdict([], {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "x"}}, logical_type="integer")


@pytest.mark.parametrize(
    ("logical_type", "valid", "values", "dtype", "invalid"),
    [
        ("integer", [1, 300, 2], [1, 2, 5, None], pl.Int8, 1),
        ("integer", [-1, 1], [1, 2, 2**63], pl.UInt64, 2),
        ("number", [0.1, 2], [0.1, 2, 5], pl.Float32, 1),
        ("number", [0.1, 2], [1, 2, 5], pl.Int16, 2),
        ("number", [0.125, 2], [Decimal("0.12"), Decimal(2), Decimal("2.1")], pl.Decimal(10, 2), 2),
        ("timestamp", ["2026-01-01T00:00:00"], [1767225600000, 1767225600001], pl.Datetime("ms"), 1),
        ("timestamp", ["2026-01-01T00:00:00"], [1767225600 * 10**9, 1767225600 * 10**9 + 1], pl.Datetime("ns"), 1),
        ("timestamp", ["2026-01-01T00:00:00.0005"], [1767225600000, 1767225600001], pl.Datetime("ms"), 2),
    ],
)
def test_values_are_compared_exactly_in_every_stored_type(logical_type, valid, values, dtype, invalid):
    rules = (
        {"metric": "invalidValues", "arguments": {"validValues": valid}, "mustBe": 0},
        {"metric": "missingValues", "arguments": {"missingValues": valid}, "mustBe": 0},
    )
    judge = Validator(compile_table(Table("t", (Column("a", "a", logical_type, quality=rules),))))
    judge.check(pl.DataFrame({"a": pl.Series(values).cast(dtype)}))
    found = {each.rule: each.count for each in judge.finish().failures}
    assert found == {
        rule: count
        for rule, count in {"invalidValues": invalid, "missingValues": len(values) - invalid}.items()
        if count
    }


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ({"type": "text", "metric": "nullValues", "mustBe": 0}, "of type text with a metric"),
        ({"type": "text", "description": "no nulls", "mustBe": 0}, "of type text with a metric"),
        *(({"metric": "nullValues", word: [0]}, f"{word} needs one number") for word in ("mustBe", "mustNotBe")),
        ({"metric": "nullValues", "mustBeLessThan": [0, 1]}, "needs one number"),
        ({"metric": "nullValues", "mustBeBetween": 1}, "needs a list of two"),
        ({"metric": "nullValues", "mustBeBetween": [5, 1]}, "smallest is not first"),
        ({"metric": "nullValues", "mustNotBeBetween": [5, 1]}, "smallest is not first"),
        (
            {"metric": "nullValues", "mustBe": 0, "customProperties": [{"property": "x", "value": 1}]},
            "customProperties",
        ),
        ({"metric": "nullValues", "mustBe": 0, "severity": "blocker"}, "unknown severity or unit"),
        ({"metric": "nullValues", "mustBe": 0, "unit": "permille"}, "unknown severity or unit"),
    ],
)
def test_rule_that_would_be_passed_over_is_refused(rule, reason):
    with pytest.raises(UnusableInput, match=reason):
        compile_table(Table("t", (Column("a", "a", "string", quality=(rule,)),)))
    with pytest.raises(UnusableInput, match=reason):
        compile_table(Table("t", (Column("a", "a", "string"),), quality=(rule,)))
