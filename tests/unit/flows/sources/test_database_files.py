"""DuckDB and SQLite files: what is particular to each, beside the promises that every source keeps."""

import contextlib
import sqlite3
from datetime import time

import duckdb
import polars as pl
import pytest

import flows.sources.sqlite_file
from core.errors import RowsInvalid, SourceUnavailable, UnusableInput
from flows.sources.duckdb_file import duckdb_source
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.sources.sqlite_file import sqlite_source
from schemas.filters import parse_filter


def plan(*names, rows=None):
    return ExtractionPlan(tuple(PlannedColumn(name, name, pl.String()) for name in names), parse_filter(rows))


@pytest.fixture
def sqlite(tmp_path):
    """Runs SQL in a SQLite file."""

    def run(*statements):
        with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as connection:
            for each in statements:
                connection.execute(each)
            connection.commit()
        return sqlite_source("src", tmp_path / "x.db", "t")

    return run


@pytest.fixture
def duck(tmp_path):
    """Runs SQL in a DuckDB file."""

    def run(*statements):
        with duckdb.connect(tmp_path / "x.duckdb") as connection:
            for each in statements:
                connection.execute(each)
        return duckdb_source("src", tmp_path / "x.duckdb", "t")

    return run


def test_sqlite_values_of_another_type_than_declared_are_null_and_counted(sqlite):
    source = sqlite(
        "CREATE TABLE t (i INTEGER, r REAL, s TEXT, b BOOLEAN, d DATE, m DATETIME, n BLOB)",
        "INSERT INTO t VALUES (1, 1.5, 'x', 1, '2026-01-05', '2026-01-05 10:00:00', x'00')",
        "INSERT INTO t VALUES ('one', 'half', x'00', 2, '2026-1-5', 'now', NULL)",
        "INSERT INTO t VALUES (1.5, 2, 'y', 0, 20260105, '2026-01-05T10:00:00.5', NULL)",
    )
    lost = {}
    frame = pl.concat(source.batches(plan("i", "r", "s", "b", "d", "m"), lost.__setitem__))
    assert lost == {"i": 2, "r": 1, "s": 1, "b": 1, "d": 2, "m": 1}
    assert frame["r"].to_list() == [1.5, None, 2.0]
    assert frame["b"].to_list() == [True, None, False]
    assert source.schema()["n"] == pl.Unknown
    with pytest.raises(UnusableInput, match="column n as a type"):
        list(source.batches(plan("n")))


def test_sqlite_time_may_have_a_fraction(sqlite):
    source = sqlite("CREATE TABLE t (c TIME)", "INSERT INTO t VALUES ('13:45:00'), ('13:45:00.500')")
    assert pl.concat(source.batches(plan("c")))["c"].to_list() == [time(13, 45), time(13, 45, 0, 500_000)]


def test_sqlite_day_beyond_the_years_of_a_type_is_null_and_counted(sqlite):
    source = sqlite("CREATE TABLE t (d DATE)", "INSERT INTO t VALUES ('+10000-01-01'), ('-0044-03-15'), ('0000-01-01')")
    lost = {}
    assert pl.concat(source.batches(plan("d"), lost.__setitem__))["d"].to_list() == [None] * 3
    assert lost == {"d": 3}


def test_sqlite_row_is_not_lost_in_silence_for_a_value_that_cannot_be_compared(sqlite):
    source = sqlite("CREATE TABLE t (i INTEGER)", "INSERT INTO t VALUES (1), ('two'), (3)")
    with pytest.raises(RowsInvalid, match="column i has 1 values"):
        list(source.batches(plan("i", rows=[{"column": "i", "operator": "greaterThan", "value": 2}])))


def test_sqlite_order_is_that_of_the_rows_whatever_index_there_is(sqlite, monkeypatch):
    monkeypatch.setattr(flows.sources.sqlite_file, "_ROWS_AT_ONCE", 3)
    source = sqlite(
        "CREATE TABLE t (n INTEGER, s TEXT)",
        "INSERT INTO t VALUES (3, 'c'), (1, 'a'), (2, 'b'), (0, 'z')",
        "CREATE INDEX covering ON t (n, s)",
    )
    assert pl.concat(source.batches(plan("n", "s")))["n"].to_list() == [3, 1, 2, 0]


def test_sqlite_view_is_sorted_by_what_is_delivered(sqlite):
    source = sqlite(
        "CREATE TABLE x (n INTEGER, s TEXT)",
        "INSERT INTO x VALUES (3, 'c'), (1, 'a')",
        "CREATE VIEW t AS SELECT * FROM x",
    )
    assert pl.concat(source.batches(plan("s", "n")))["n"].to_list() == [1, 3]


def test_sqlite_file_is_not_changed_by_reading(sqlite, tmp_path):
    source = sqlite("CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1)")
    before = (tmp_path / "x.db").read_bytes()
    (tmp_path / "x.db").chmod(0o400)
    assert pl.concat(source.batches(plan("n"))).height == 1
    assert (tmp_path / "x.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["x.db"]


@pytest.mark.parametrize("make", [sqlite_source, duckdb_source])
def test_file_that_is_absent_or_no_database_is_unavailable(tmp_path, make):
    path = tmp_path / "x"
    with pytest.raises(SourceUnavailable, match="does not exist"):
        make("src", path, "t").schema()
    assert not path.exists()
    path.write_text("SECRET" * 1000)
    with pytest.raises(SourceUnavailable, match="is damaged, or in use") as caught:
        make("src", path, "t").schema()
    assert caught.value.__context__ is None


def test_duckdb_view_reaches_no_other_file(duck, tmp_path):
    (tmp_path / "other.csv").write_text("secret\nSECRET\n")
    source = duck(f"CREATE VIEW t AS SELECT * FROM read_csv('{tmp_path / 'other.csv'}')")
    with pytest.raises(SourceUnavailable):
        list(source.batches(plan("secret")))


def test_duckdb_table_that_is_gone_is_no_variable_of_the_program(duck):
    source = duck("CREATE TABLE t (n INT)", "DROP TABLE t")
    t = pl.DataFrame({"n": [1]})
    with pytest.raises(SourceUnavailable, match=r"no table main\.t"):
        list(source.batches(plan(*t.columns)))


def test_duckdb_collation_of_a_column_changes_no_comparison(duck):
    source = duck("CREATE TABLE t (s VARCHAR COLLATE NOCASE)", "INSERT INTO t VALUES ('A'), ('a')")
    rows = [{"column": "s", "operator": "equals", "value": "a"}]
    assert pl.concat(source.batches(plan("s", rows=rows)))["s"].to_list() == ["a"]


def test_duckdb_types_beyond_ours_are_null_unknown_or_text(duck):
    source = duck(
        "CREATE TABLE t (e ENUM('x', 'y'), u UUID, d DATE, m TIMESTAMP, i INTERVAL, l INTEGER[])",
        "INSERT INTO t VALUES ('y', uuid(), 'infinity', '-infinity', INTERVAL 1 DAY, [1, 2])",
    )
    schema = source.schema()
    assert [schema[name] for name in "eudi"] == [pl.String(), pl.String(), pl.Date(), pl.Unknown()]
    lost = {}
    frame = pl.concat(source.batches(plan("e", "d", "m", "l"), lost.__setitem__))
    assert lost == {"d": 1, "m": 1}
    assert frame.row(0) == ("y", None, None, [1, 2])


@pytest.mark.parametrize("declared", ["TIMETZ", "TIMETZ[]", "STRUCT(x TIMETZ)"])
def test_duckdb_time_with_an_offset_is_refused_and_not_delivered_without_it(duck, declared):
    source = duck(f"CREATE TABLE t (clock {declared}, plain TIME, moment TIMESTAMPTZ)")
    assert source.schema() == {"clock": pl.Unknown(), "plain": pl.Time(), "moment": pl.Datetime("us", "UTC")}
    with pytest.raises(UnusableInput, match="stores column clock as a type that has no counterpart"):
        list(source.batches(plan("clock")))
    assert list(source.batches(plan("plain", "moment"))) == []


def test_duckdb_view_is_sorted_by_what_is_delivered(duck):
    source = duck("CREATE TABLE x AS SELECT 100 - n AS n FROM range(100) r(n)", "CREATE VIEW t AS SELECT * FROM x")
    assert pl.concat(source.batches(plan("n")))["n"].is_sorted()
