"""The contracts and data sets about which we and datacontract-cli are asked: every rule, obeyed and broken.

A pair's name stands in docs/judges.md where the two answers differ. Contracts are ODCS documents without a server;
whoever asks adds where the data is.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tests.judges.promises import CSV, NESTED, RULES, TYPES, Promise, column

TABLE = "t"


@dataclass(frozen=True)
class Pair:
    """`data` is a frame, which becomes a Parquet file, or the text of a CSV file."""

    name: str
    contract: Mapping[str, Any]
    data: pl.DataFrame | str


def contract(*columns: Promise, quality: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    table = {"name": TABLE, "logicalType": "object", "properties": list(columns), "quality": list(quality)}
    head = {"apiVersion": "v3.2.0", "kind": "DataContract", "id": "pair", "version": "1.0.0", "status": "active"}
    return head | {"schema": [table]}


OPERATORS: dict[str, tuple[Any, Any]] = {  # of a metric that is 2: a bound that holds, and one that does not
    "mustBe": (2, 3),
    "mustNotBe": (3, 2),
    "mustBeGreaterThan": (1, 2),
    "mustBeGreaterOrEqualTo": (2, 3),
    "mustBeLessThan": (3, 2),
    "mustBeLessOrEqualTo": (2, 1),
    "mustBeBetween": ([1, 3], [3, 4]),
    "mustNotBeBetween": ([3, 4], [1, 3]),
}
METRICS: dict[str, tuple[Mapping[str, Any], Sequence[Any]]] = {  # each is 2 of the five values, which is 40 percent
    "nullValues": ({"metric": "nullValues"}, ["a", "b", None, None, "c"]),
    "missingValues": (
        {"metric": "missingValues", "arguments": {"missingValues": [None, "", "N/A"]}},
        ["a", "", "N/A", "b", "c"],
    ),
    "invalidValues by list": (
        {"metric": "invalidValues", "arguments": {"validValues": ["a", "b"]}},
        ["a", "x", "y", "b", None],
    ),
    "invalidValues by pattern": (
        {"metric": "invalidValues", "arguments": {"pattern": "^[a-c]$"}},
        ["a", "x", "y", "b", None],
    ),
    "duplicateValues": ({"metric": "duplicateValues"}, ["a", "a", "b", "b", "c"]),
}


def pairs() -> list[Pair]:
    """All pairs that are the same in every run; those of the products are made from their contracts."""
    made = [*_rules(), *_types(), *_texts(), *_metrics(), *_row_counts(), *_relationships(), *_whole_tables()]
    assert len({pair.name for pair in made}) == len(made)
    return made


def _rules() -> Iterator[Pair]:
    for name, promise, good, bad in (*RULES, *NESTED):
        for outcome, values in (("obeyed", good), ("broken", bad)):
            yield Pair(f"{name}, {outcome}", contract(promise), pl.DataFrame({"x": values}))


def _types() -> Iterator[Pair]:
    for name, kind, values in TYPES:
        yield Pair(name, contract(column(kind)), values.alias("x").to_frame())


def _texts() -> Iterator[Pair]:
    for name, promise, content in CSV:
        header = content.split("\n", 1)[0].split(",")
        others = [column("string", other) for other in header if other != "x" and "x" in header]
        yield Pair(name, contract(promise, *others), content)


def _metrics() -> Iterator[Pair]:
    """One table for each metric, unit and severity, with two columns for each operator: one holds, one does not.

    A severity matters only where a rule does not hold.
    """
    for (name, (rule, values)), unit, severity in itertools.product(
        METRICS.items(), ("rows", "percent"), ("error", "warning", "info")
    ):
        columns = []
        for operator, bounds in OPERATORS.items():
            for outcome, bound in zip(("holds", "broken"), bounds, strict=True):
                if outcome == "holds" and severity != "error":
                    continue
                quality = dict(rule) | {operator: _scaled(bound, unit), "unit": unit, "severity": severity}
                columns.append(column("string", f"{operator}_{outcome}", quality=[quality]))
        frame = pl.DataFrame({each["name"]: values for each in columns})
        yield Pair(f"{name}, {unit}, {severity}", contract(*columns), frame)


def _scaled(bound: Any, unit: str) -> Any:
    if unit == "rows":
        return bound
    return [20 * each for each in bound] if isinstance(bound, list) else 20 * bound


def _row_counts() -> Iterator[Pair]:
    """datacontract-cli judges one rule of a kind for each table."""
    two, numbers = pl.DataFrame({"x": [1, 2]}), column("integer")
    keys = pl.DataFrame({"x": [1, 1, 2, 2, 3], "y": [1, 1, 2, 2, 3]})
    for operator, bounds in OPERATORS.items():
        for outcome, bound in zip(("obeyed", "broken"), bounds, strict=True):
            rows: Promise = {"metric": "rowCount", operator: bound}
            yield Pair(f"rowCount {operator}, {outcome}", contract(numbers, quality=[rows]), two)
            double = {"metric": "duplicateValues", "arguments": {"properties": ["x", "y"]}, operator: bound}
            both = contract(numbers, column("integer", "y"), quality=[double])
            yield Pair(f"duplicateValues of columns {operator}, {outcome}", both, keys)
    for severity in ("warning", "info"):
        rows = {"metric": "rowCount", "mustBe": 3, "severity": severity}
        yield Pair(f"rowCount broken, {severity}", contract(numbers, quality=[rows]), two)


def _relationships() -> Iterator[Pair]:
    chief = column("integer", "chief", relationships=[{"to": f"{TABLE}.x"}])
    table = contract(column("integer", unique=True), chief)
    yield Pair("foreign key, obeyed", table, pl.DataFrame({"x": [1, 2, 3], "chief": [None, 1, 1]}))
    yield Pair("foreign key, broken", table, pl.DataFrame({"x": [1, 2, 3], "chief": [9, 1, 9]}))
    keys = [column("integer", name, primaryKey=True, primaryKeyPosition=at) for at, name in enumerate("xy", 1)]
    table = contract(*keys, column("integer", "a"), column("integer", "b"))
    composite = {"type": "foreignKey", "from": [f"{TABLE}.a", f"{TABLE}.b"], "to": [f"{TABLE}.x", f"{TABLE}.y"]}
    table["schema"][0]["relationships"] = [composite]
    frame = pl.DataFrame({"x": [1, 1], "y": [1, 2], "a": [1, None], "b": [2, 7]})
    yield Pair("composite foreign key, obeyed", table, frame)
    yield Pair("composite foreign key, broken", table, frame.with_columns(a=pl.lit(1)))


def _whole_tables() -> Iterator[Pair]:
    numbers, other = column("integer"), column("integer", "y")
    key = contract(
        column("integer", primaryKey=True, primaryKeyPosition=2),
        column("integer", "y", primaryKey=True, primaryKeyPosition=1),
    )
    yield Pair("composite primaryKey, obeyed", key, pl.DataFrame({"x": [1, 1, 2], "y": [1, 2, 1]}))
    yield Pair("composite primaryKey, broken", key, pl.DataFrame({"x": [1, 1, 2], "y": [1, 1, 1]}))
    yield Pair("composite primaryKey with null", key, pl.DataFrame({"x": [1, None, 2], "y": [1, 1, 1]}))
    yield Pair("column missing", contract(numbers, other), pl.DataFrame({"x": [1]}))
    yield Pair("required column missing", contract(numbers, other | {"required": True}), pl.DataFrame({"x": [1]}))
    yield Pair("column too many", contract(numbers), pl.DataFrame({"x": [1], "y": [1]}))
    yield Pair("columns in another order", contract(numbers, other), pl.DataFrame({"y": [1], "x": [1]}))
    yield Pair("column in capitals", contract(numbers), pl.DataFrame({"X": [1]}))
    yield Pair("column under its physicalName", contract(numbers | {"physicalName": "z"}), pl.DataFrame({"z": [1]}))
    empty = pl.DataFrame(schema={"x": pl.Int64})
    at_least_one = {"metric": "rowCount", "mustBeGreaterThan": 0}
    no_nulls = {"metric": "nullValues", "mustBe": 0, "unit": "percent"}
    yield Pair("no rows", contract(column("integer", required=True, unique=True)), empty)
    yield Pair("no rows where there must be", contract(numbers, quality=[at_least_one]), empty)
    yield Pair("percentage of no rows", contract(column("integer", quality=[no_nulls])), empty)
    yield Pair(
        "only nulls",
        contract(column("integer", options={"minimum": 1}, unique=True)),
        pl.DataFrame({"x": [None, None]}, schema={"x": pl.Int64}),
    )
    third = {"metric": "nullValues", "mustBeLessOrEqualTo": 33.333333, "unit": "percent"}
    yield Pair(
        "percentage to seven digits", contract(column("string", quality=[third])), pl.DataFrame({"x": ["a", "b", None]})
    )
    within = {"metric": "nullValues", "mustBeBetween": [2, 4]}
    without = {"metric": "nullValues", "mustNotBeBetween": [2, 4]}
    two_nulls = pl.DataFrame({"x": ["a", None, None]})
    yield Pair("mustBeBetween at its bound", contract(column("string", quality=[within])), two_nulls)
    yield Pair("mustNotBeBetween at its bound", contract(column("string", quality=[without])), two_nulls)
    fewer = {"metric": "duplicateValues", "mustBeLessThan": 2}
    yield Pair(
        "duplicateValues of one value three times",
        contract(column("string", quality=[fewer])),
        pl.DataFrame({"x": ["a", "a", "a"]}),
    )
    prose = {"type": "text", "description": "The value was seen by a person."}
    yield Pair("quality as prose", contract(column("string", quality=[prose])), pl.DataFrame({"x": ["a"]}))
    twice = [{"metric": "nullValues", "mustBeLessThan": 3}, {"metric": "nullValues", "mustBeLessThan": 2}]
    yield Pair("two rules of one metric", contract(column("string", quality=twice)), two_nulls)
    named = column("string", customProperties=[{"property": "gla.rule", "value": "bsn"}])
    yield Pair("rule by name, broken", contract(named), pl.DataFrame({"x": ["999999999"]}))
