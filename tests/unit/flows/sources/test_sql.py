"""The SQL of a plan: our words and quoted names; a value of an agreement is never in it."""

from datetime import date, datetime

import polars as pl
import pytest

from core.errors import UnusableInput
from core.period import Period
from flows.sources.duckdb_file import DuckDbDialect
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.sources.postgres.types import PostgresColumn, PostgresDialect
from flows.sources.sql import quoted, select
from schemas.filters import parse_filter

COLUMNS = [
    PostgresColumn("n", "int4", -1), PostgresColumn("s", "varchar", 14), PostgresColumn("c", "bpchar", 9),
    PostgresColumn("e", "enum", -1), PostgresColumn("m", "numeric", (12 << 16) + 2 + 4),
    PostgresColumn("d", "date", -1), PostgresColumn("z", "timestamptz", -1), PostgresColumn('odd "name"', "int8", -1),
]  # fmt: skip
TYPES = {column.name: column.dtype for column in COLUMNS}


def compiled(dialect, *conditions, names=("n",), sorted_by_all=False):
    columns = tuple(PlannedColumn(name, name, pl.String()) for name in names)
    plan = ExtractionPlan(columns, parse_filter(list(conditions)), Period.parse("2026-01"))
    return select(dialect, '"public"."t"', plan, TYPES, sorted_by_all=sorted_by_all)


def postgres(*conditions, **more):
    return compiled(PostgresDialect({column.name: column for column in COLUMNS}), *conditions, **more)


def duck(*conditions, **more):
    return compiled(DuckDbDialect(TYPES), *conditions, **more)


def where(column, operator, **more):
    return {"column": column, "operator": operator} | more


def parameter(number, kind):
    return f"(SELECT CAST(current_setting('gla.p{number}') AS {kind}))"


@pytest.mark.parametrize(
    ("condition", "text", "bound"),
    [
        (where("n", "equals", value=5), f'"n" = {parameter(0, "int8")}', ("5",)),
        (where("n", "isNull"), '"n" IS NULL', ()),
        (where("n", "isNotNull"), '"n" IS NOT NULL', ()),
        (where("n", "lessThan", value=2**40), '"n" IS NOT NULL', ()),
        (where("n", "equals", value=2**40), "1 = 0", ()),
        (where("s", "lessThan", value="x' --"), f'"s" COLLATE "C" < {parameter(0, "text")}', ("x' --",)),
        (
            where("c", "notEquals", value="ab"),
            f'rpad(CAST("c" AS text), 5) COLLATE "C" <> {parameter(0, "text")}',
            ("ab",),
        ),
        (where("e", "greaterThan", value="x"), f'CAST("e" AS text) COLLATE "C" > {parameter(0, "text")}', ("x",)),
        (where("m", "lessThan", value=0.105), f'"m" <= {parameter(0, "numeric")}', ("0.10",)),
        (where("d", "lessThan", bound="period.end"), f'"d" < {parameter(0, "date")}', ("2026-02-01",)),
        (
            where("z", "greaterOrEqualTo", bound="period.start"),
            f'"z" >= {parameter(0, "timestamptz")}',
            ("2026-01-01 00:00:00.000000+00:00",),
        ),
        (
            where("s", "in", value=['a"b', "c\\d", "{e}"]),
            '"s" COLLATE "C" IN (SELECT unnest(CAST(current_setting(\'gla.p0\') AS text[])))',
            ('{"a\\"b","c\\\\d","{e}"}',),
        ),
    ],
)
def test_postgresql_condition_compares_with_a_setting(condition, text, bound):
    query = postgres(condition)
    assert query.text == f'SELECT "n" AS c0 FROM "public"."t" WHERE {text}'
    assert query.parameters == bound


def test_postgresql_parameters_are_numbered_past_conditions_without_one():
    query = postgres(
        where("n", "isNull"), where("s", "equals", value="a"), where("d", "isNull"), where("n", "in", value=[1])
    )
    assert "gla.p0" in query.text
    assert "gla.p1" in query.text
    assert query.parameters == ("a", '{"1"}')


def test_postgresql_numerics_are_read_as_text_and_views_are_sorted_by_what_is_compared():
    query = postgres(names=("m", "s", "s", 'odd "name"'), sorted_by_all=True)
    assert query.text == (
        'SELECT CAST("m" AS text) AS c0, "s" AS c1, "s" AS c2, "odd ""name""" AS c3 FROM "public"."t" '
        'ORDER BY "m", "s" COLLATE "C", "odd ""name"""'
    )


@pytest.mark.parametrize(
    ("condition", "text", "bound"),
    [
        (where("n", "equals", value=5), '"n" = CAST($1 AS BIGINT)', (5,)),
        (where("s", "lessThan", value="x"), 'encode(CAST("s" AS VARCHAR)) < encode(CAST($1 AS VARCHAR))', ("x",)),
        (where("m", "lessThan", value=1), '"m" < CAST($1 AS DECIMAL(12, 2))', (1,)),
        (where("d", "lessThan", bound="period.end"), '"d" < CAST($1 AS DATE)', (date(2026, 2, 1),)),
        (
            where("n", "in", value=[1, 2]),
            '"n" IN (SELECT item FROM (SELECT unnest(CAST($1 AS BIGINT[])) AS item))',
            ([1, 2],),
        ),
    ],
)
def test_duckdb_condition_compares_with_a_parameter(condition, text, bound):
    query = duck(condition)
    assert query.text == f'SELECT "n" AS c0 FROM "public"."t" WHERE {text}'
    assert query.parameters == bound


@pytest.mark.parametrize("make", [postgres, duck])
def test_text_with_a_nul_is_refused(make):
    for condition in (where("s", "equals", value="a\0b"), where("s", "in", value=["a", "\0"])):
        with pytest.raises(UnusableInput, match="filter on s has a text with a NUL"):
            make(condition)


def test_a_name_is_quoted_or_refused():
    assert quoted('a"; DROP TABLE t; --') == '"a""; DROP TABLE t; --"'
    with pytest.raises(UnusableInput, match="NUL"):
        quoted("a\0b")


@pytest.mark.parametrize(
    ("base", "modifier", "dtype"),
    [
        ("numeric", -1, pl.Unknown()),
        ("numeric", (38 << 16) + 38 + 4, pl.Decimal(38, 38)),
        ("numeric", (39 << 16) + 2 + 4, pl.Unknown()),
        ("numeric", (2 << 16) + 5 + 4, pl.Unknown()),  # numeric(2, 5): PostgreSQL 15 has it
        ("numeric", (2 << 16) + 2045 + 4, pl.Unknown()),  # numeric(2, -3), whose scale is kept in eleven bits
        ("bpchar", -1, pl.Unknown()),
        ("bpchar", 5, pl.String()),
        ("money", -1, pl.Unknown()),
        ("_int4", -1, pl.Unknown()),
    ],
)
def test_a_postgresql_type_has_one_counterpart_or_none(base, modifier, dtype):
    assert PostgresColumn("x", base, modifier).dtype == dtype


def test_a_moment_is_bound_with_all_its_digits():
    moment = datetime(2026, 1, 1, 0, 0, 0, 1)  # noqa: DTZ001 - a column without time zones
    assert PostgresDialect({}).bound((moment,), many=False) == "2026-01-01 00:00:00.000001"
