"""ODCS library quality rules: a metric over the whole delivery, compared with a threshold.

Supported: nullValues, missingValues, invalidValues (validValues, pattern), duplicateValues, rowCount; the eight
operators; unit rows or percent. `text` rules are prose and are passed over; `sql` and `custom` rules are refused.
Null counts as missing, never as invalid or duplicate. A duplicate is a row that repeats an earlier row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from core.errors import UnusableInput
from schemas.exact import is_one_of
from schemas.logical_types import read_literal
from schemas.patterns import translate
from schemas.table import Column, Table
from schemas.verdict import Severity

WHOLE_TABLE = "*"  # stands for the column in a failure that belongs to no single column
_OPERATORS: dict[str, Callable[[float, Any], bool]] = {
    "mustBe": lambda metric, bound: metric == bound,
    "mustNotBe": lambda metric, bound: metric != bound,
    "mustBeGreaterThan": lambda metric, bound: metric > bound,
    "mustBeGreaterOrEqualTo": lambda metric, bound: metric >= bound,
    "mustBeLessThan": lambda metric, bound: metric < bound,
    "mustBeLessOrEqualTo": lambda metric, bound: metric <= bound,
    "mustBeBetween": lambda metric, bound: bound[0] < metric < bound[1],  # both bounds excluded: ODCS, data quality
    "mustNotBeBetween": lambda metric, bound: not bound[0] < metric < bound[1],
}
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
_UNITS = ("rows", "percent")


@dataclass(frozen=True)
class Threshold:
    """When a metric is good enough; with a severity below error it only warns."""

    operator: str
    bound: Any
    percent: bool = False
    severity: Severity = "error"

    def holds(self, count: int, rows: int) -> bool:
        """Whether `count` out of `rows` is allowed; of no rows every percentage is 0."""
        metric = (100 * count / rows if rows else 0.0) if self.percent else count
        return _OPERATORS[self.operator](metric, self.bound)

    def __str__(self) -> str:
        bounds = self.bound if isinstance(self.bound, list) else [self.bound]
        return f"{self.operator} {' and '.join(map(str, bounds))}{' percent' if self.percent else ''}"


EXACTLY_NONE = Threshold("mustBe", 0)


@dataclass(frozen=True)
class Metric:
    """A count that is summed over the batches. `counted` yields one number per batch; None counts the rows."""

    column: str
    rule: str
    counted: pl.Expr | None
    threshold: Threshold


@dataclass(frozen=True)
class UniqueKey:
    """Columns whose combined values may repeat only within `threshold`; a key with a null is no key."""

    columns: tuple[str, ...]
    rule: str
    threshold: Threshold

    @property
    def label(self) -> str:
        return ",".join(self.columns)


def quality_rules(table: Table, dtypes: Mapping[str, pl.DataType]) -> tuple[tuple[Metric, ...], tuple[UniqueKey, ...]]:
    """Every quality rule of the table and its columns, which are stored as `dtypes`."""
    compiled: list[Metric | UniqueKey] = []
    compiled.extend(_table_rule(table, rule) for rule in _executable(table.name, table.quality))
    for column in table.columns:
        dtype = dtypes[column.name]
        compiled.extend(_column_rule(column, dtype, rule) for rule in _executable(column.name, column.quality))
    metrics = tuple(each for each in compiled if isinstance(each, Metric))
    return metrics, tuple(each for each in compiled if isinstance(each, UniqueKey))


def _executable(name: str, rules: tuple[Mapping[str, Any], ...]) -> list[Mapping[str, Any]]:
    for rule in rules:
        kind = rule.get("type", "library")
        if kind not in ("library", "text") or (kind == "library" and "metric" not in rule):
            raise UnusableInput(f"{name} has a quality rule of a type that is not supported (only library and text)")
        if kind == "text" and any(key in rule for key in ("metric", "arguments", *_OPERATORS)):
            raise UnusableInput(f"{name} has a quality rule of type text with a metric: prose is not checked")
        if kind == "library" and rule.get("customProperties"):
            raise UnusableInput(f"{name} has a quality rule with customProperties, which might change what it means")
    return [rule for rule in rules if rule.get("type", "library") == "library"]


def _threshold(name: str, rule: Mapping[str, Any]) -> Threshold:
    operator = next((each for each in _OPERATORS if each in rule), None)
    bound = rule.get(operator or "")
    numbers = bound if isinstance(bound, list) else [bound]
    if operator is None or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers):
        raise UnusableInput(f"{name} has a quality rule without one operator that compares with a number")
    if isinstance(bound, list) != operator.endswith("Between"):
        needed = "one number, not a list" if isinstance(bound, list) else "a list of two numbers"
        raise UnusableInput(f"{name} has a quality rule whose {operator} needs {needed}")
    if numbers != sorted(numbers):
        raise UnusableInput(f"{name} has a quality rule between two numbers whose smallest is not first")
    if rule.get("severity", "error") not in _SEVERITIES or rule.get("unit", "rows") not in _UNITS:
        raise UnusableInput(f"{name} has a quality rule with an unknown severity or unit")
    return Threshold(operator, bound, rule.get("unit") == "percent", rule.get("severity", "error"))


def _arguments(name: str, rule: Mapping[str, Any], *allowed: str) -> dict[str, Any]:
    arguments: dict[str, Any] = rule.get("arguments") or {}
    if any(key not in allowed for key in arguments):
        raise UnusableInput(f"{name} has a quality rule with an argument that {rule['metric']} does not have")
    return arguments


def _table_rule(table: Table, rule: Mapping[str, Any]) -> Metric | UniqueKey:
    threshold = _threshold(table.name, rule)
    if rule["metric"] == "rowCount" and not threshold.percent:
        _arguments(table.name, rule)
        return Metric(WHOLE_TABLE, "rowCount", None, threshold)
    if rule["metric"] == "duplicateValues":
        names = _arguments(table.name, rule, "properties").get("properties")
        known = {column.name for column in table.columns if not column.is_nested}
        if isinstance(names, list) and names and all(isinstance(each, str) and each in known for each in names):
            return UniqueKey(tuple(names), "duplicateValues", threshold)
        raise UnusableInput(f"{table.name} has a duplicateValues rule whose properties are no columns of the table")
    raise UnusableInput(f"{table.name} has a quality rule whose metric does not fit a table")


def _column_rule(column: Column, dtype: pl.DataType, rule: Mapping[str, Any]) -> Metric | UniqueKey:
    threshold, metric, value = _threshold(column.name, rule), rule["metric"], pl.col(column.name)
    if metric == "nullValues":
        _arguments(column.name, rule)
        return Metric(column.name, metric, value.is_null().sum(), threshold)
    if column.is_nested:
        raise UnusableInput(f"column {column.name} has a quality rule whose metric does not fit an array or object")
    if metric == "duplicateValues":
        _arguments(column.name, rule)
        return UniqueKey((column.name,), metric, threshold)
    if metric == "missingValues":
        missing = _values(column, _arguments(column.name, rule, "missingValues").get("missingValues"))
        counted = (value.is_null() | is_one_of(column, missing, dtype)(value)).sum()
        return Metric(column.name, metric, counted, threshold)
    if metric == "invalidValues":
        return Metric(column.name, metric, _invalid(column, dtype, rule).sum(), threshold)
    raise UnusableInput(f"column {column.name} has a quality rule whose metric does not fit a column")


def _values(column: Column, values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise UnusableInput(f"column {column.name} has a quality rule that needs a list of values")
    return [read_literal(column, each) for each in values if each is not None]


def _invalid(column: Column, dtype: pl.DataType, rule: Mapping[str, Any]) -> pl.Expr:
    arguments, value = _arguments(column.name, rule, "validValues", "pattern"), pl.col(column.name)
    valid: list[pl.Expr] = []
    if "validValues" in arguments:
        valid.append(is_one_of(column, _values(column, arguments["validValues"]), dtype)(value))
    if "pattern" in arguments:
        if column.logical_type != "string" or not isinstance(arguments["pattern"], str):
            raise UnusableInput(f"column {column.name} has a quality rule with a pattern, which fits strings only")
        valid.append(value.str.contains(translate(arguments["pattern"])))
    if not valid:
        raise UnusableInput(f"column {column.name} has an invalidValues rule without validValues or pattern")
    return value.is_not_null() & ~pl.all_horizontal(valid)
