"""Any filter keeps the same rows in Python's own arithmetic, in Polars, and in each database."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.period import Period
from flows.sources.plan import ExtractionPlan, PlannedColumn
from schemas.filters import parse_filter
from tests.source_worlds import DuckDb, Postgres, World

ROWS = 40
JANUARY = Period.parse("2026-01")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "equals": operator.eq, "notEquals": operator.ne, "lessThan": operator.lt, "lessOrEqualTo": operator.le,
    "greaterThan": operator.gt, "greaterOrEqualTo": operator.ge,
}  # fmt: skip
CENTS = [Decimal(number) / 100 for number in (-999_999, -1050, -1, 0, 1, 10, 11, 1050, 999_999)]
TEXTS = ["", "a", "B", "b", "a ", "é", "z\U0001f600", "Z", "\\", '"', "'", "{}", "NULL", "%", "\n", "ÿ", "￿"]
START = datetime(2025, 12, 31, 23, 59, 59, 999_998)  # noqa: DTZ001 - a column without time zones
FRAME = pl.DataFrame(
    {
        "row": range(ROWS),
        "i": pl.Series([(number * 7919) % 65536 - 32768 for number in range(ROWS - 4)] + [32767, -32768, 0, None],
                       dtype=pl.Int16),
        "l": [2**63 - 1, -(2**63), 2**53 + 1, None] + [number**11 for number in range(ROWS - 4)],
        "m": pl.Series([*(CENTS * 5)[:ROWS - 1], None], dtype=pl.Decimal(6, 2)),
        "f": [0.1, -0.0, 1e308, 5e-324, None] + [number / 3 for number in range(ROWS - 5)],
        "s": [*(TEXTS * 3)[:ROWS - 1], None],
        "b": [True, False, None, True] * (ROWS // 4),
        "d": [date(2025, 12, 30) + timedelta(days=number) for number in range(ROWS - 1)] + [None],
        "t": [START + timedelta(microseconds=number) for number in range(ROWS - 1)] + [None],
        "z": pl.Series([START.replace(tzinfo=UTC) + timedelta(hours=number) for number in range(ROWS - 1)] + [None],
                       dtype=pl.Datetime("us", "UTC")),
    }
)  # fmt: skip
WHOLE = st.sampled_from(
    [0, 1, -1, 32767, 32768, -32768, -32769, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**70, -(2**70)]
)
INTEGERS = WHOLE | st.integers(-40_000, 40_000) | st.sampled_from(FRAME["l"].drop_nulls().to_list())
NUMBERS = INTEGERS | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [float(cent) for cent in CENTS] + FRAME["f"].drop_nulls().to_list() + [0.105, 9999.99, 9999.991, -9999.995]
)  # fmt: skip
LITERALS: dict[str, st.SearchStrategy[Any]] = {
    "i": INTEGERS,
    "l": INTEGERS,
    "m": NUMBERS,
    "f": NUMBERS,
    "s": st.sampled_from(TEXTS)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4),
    "b": st.booleans(),
    "d": st.dates(date(2025, 12, 25), date(2026, 2, 15)).map(date.isoformat),
    "t": st.datetimes(START, START + timedelta(microseconds=60)).map(datetime.isoformat),
    "z": st.datetimes(START, START + timedelta(hours=60)).map(datetime.isoformat),
}


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    column = draw(st.sampled_from(sorted(LITERALS)))
    name = draw(st.sampled_from([*COMPARE, "in", "isNull", "isNotNull"]))
    if name == "in":
        return {"column": column, "operator": name, "value": draw(st.lists(LITERALS[column], min_size=1, max_size=5))}
    if name in COMPARE:
        return {"column": column, "operator": name, "value": draw(LITERALS[column])}
    return {"column": column, "operator": name}


def holds(condition: dict[str, Any], value: Any) -> bool:
    """The condition by its definition, in exact arithmetic."""
    name = condition["operator"]
    if value is None:
        return bool(name == "isNull")
    if name in ("isNull", "isNotNull"):
        return bool(name == "isNotNull")
    stored = _plain(value)
    if name == "in":
        return any(_literal(value, literal) == stored for literal in condition["value"])
    return COMPARE[name](stored, _literal(value, condition["value"]))


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode()  # UTF-8 has the order of code points
    return Fraction(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else value


def _literal(value: Any, literal: Any) -> Any:
    """A literal as what it is compared with; a number against floats is a float itself."""
    if isinstance(value, datetime):
        return datetime.fromisoformat(literal).replace(tzinfo=value.tzinfo)
    if isinstance(value, date):
        return date.fromisoformat(literal)
    if isinstance(value, float):
        return Fraction(float(literal))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Fraction(str(literal))
    return _plain(literal)


def kept(filters: list[dict[str, Any]]) -> list[int]:
    return [
        row["row"] for row in FRAME.iter_rows(named=True) if all(holds(each, row[each["column"]]) for each in filters)
    ]


@settings(deadline=None)
@given(st.lists(conditions(), min_size=1, max_size=3))
def test_polars_keeps_what_the_definition_keeps(filters: list[dict[str, Any]]) -> None:
    expression = parse_filter(filters).expression(JANUARY, dict(FRAME.schema))
    assert FRAME.filter(expression)["row"].to_list() == kept(filters)


@pytest.fixture(scope="module", params=["duckdb", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    if request.param == "duckdb":
        made: World = DuckDb(Path(tmp_path_factory.mktemp("duck")))
    else:
        server = request.getfixturevalue("postgresql_server")
        made = Postgres(server, server.create_database())
    made.create(FRAME)
    return made


@pytest.mark.server
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(filters=st.lists(conditions(), min_size=1, max_size=3))
def test_a_database_keeps_what_the_definition_keeps(world: World, filters: list[dict[str, Any]]) -> None:
    plan = ExtractionPlan((PlannedColumn("row", "row", pl.Int64()),), parse_filter(filters), JANUARY)
    rows = [row for frame in world.source.batches(plan) for row in frame["row"].to_list()]
    assert rows == kept(filters)
