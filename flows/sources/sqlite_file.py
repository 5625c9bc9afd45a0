"""A table or view of a SQLite file as a source, in one read transaction: what others write is not seen.

SQLite keeps a value of any type in any column. The declared type says what a column is, and a value that is not exactly
of it is null and counted, as with CSV. Dates and times are text in ISO 8601. Rows are chosen after they are read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from core.errors import SourceUnavailable
from core.settings import SourceSettings
from flows.sources.base import file_snapshot
from flows.sources.database import DatabaseSource
from flows.sources.plan import ExtractionPlan, PlannedColumn, Unreadable
from flows.sources.sql import quoted
from flows.sources.text import read_text

_ROWS_AT_ONCE = 10_000
_EXACT = 2**53  # up to here a float holds every whole number
_PRAGMAS = ("query_only = ON", "trusted_schema = OFF", "temp_store = MEMORY", "cell_size_check = ON")
_MOMENTS: dict[str, pl.DataType] = {
    "DATE": pl.Date(),
    "TIME": pl.Time(),
    "DATETIME": pl.Datetime("us"),
    "TIMESTAMP": pl.Datetime("us"),
    "TIMESTAMPTZ": pl.Datetime("us", "UTC"),
    "TIMESTAMP WITH TIME ZONE": pl.Datetime("us", "UTC"),
}
_AFFINITIES: tuple[tuple[str, pl.DataType], ...] = (  # https://www.sqlite.org/datatype3.html, section 3.1
    ("BOOL", pl.Boolean()),
    ("INT", pl.Int64()),
    ("CHAR", pl.String()),
    ("CLOB", pl.String()),
    ("TEXT", pl.String()),
    ("REAL", pl.Float64()),
    ("FLOA", pl.Float64()),
    ("DOUB", pl.Float64()),
    ("NUMERIC", pl.Float64()),
    ("DECIMAL", pl.Float64()),
)
_FITTING: dict[type[pl.DataType], Callable[[Any], Any]] = {
    pl.Boolean: lambda value: bool(value) if type(value) is int and value in (0, 1) else None,
    pl.Int64: lambda value: value if type(value) is int else None,
    pl.Float64: lambda value: (
        float(value) if type(value) is float or (type(value) is int and abs(value) <= _EXACT) else None
    ),
    pl.String: lambda value: value if type(value) is str else None,
}
_USUAL: dict[type[pl.DataType], set[type]] = {pl.Int64: {int}, pl.Float64: {float}, pl.String: {str}}


def sqlite_source(source_id: str, path: Path, table: str, limits: SourceSettings | None = None) -> DatabaseSource:
    """The table or view `table` of the file at `path`."""
    return DatabaseSource(
        source_id, "sqlite", lambda: SqliteSession(source_id, path, table), _reason, limits or SourceSettings()
    )


def _reason(error: Exception) -> str | None:
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    return "cannot be read: it is damaged, or in use" if isinstance(error, sqlite3.Error | OSError) else None


class SqliteSession:
    """One transaction, as `flows.sources.database.Session` says."""

    def __init__(self, source_id: str, path: Path, table: str) -> None:
        self._source_id = source_id
        self._path = path
        self._table = table
        self._connection: sqlite3.Connection | None = None
        self._types: dict[str, pl.DataType] = {}
        self._is_table = False

    def open(self) -> None:
        """Open the file, and begin the one state in which everything is read."""
        self._path.stat()  # FileNotFoundError says more than its own errors
        uri = f"file:{quote(str(self._path))}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        for pragma in _PRAGMAS:
            self._run(f"PRAGMA {pragma}")
        self._run("BEGIN")

    def close(self) -> None:
        """End the transaction."""
        if self._connection is not None:
            self._connection.close()

    def interrupt(self) -> None:
        """End the running query."""
        if self._connection is not None:
            self._connection.interrupt()

    def types(self) -> dict[str, pl.DataType]:
        """The columns; `SourceUnavailable` if there is no table of exactly this name."""
        text = "SELECT type = 'table' FROM sqlite_schema WHERE name = ? AND type IN ('table', 'view')"
        found = self._run(text, self._table).fetchall()
        if not found:
            raise SourceUnavailable(f"source {self._source_id} has no table {self._table}: restore it")
        self._is_table = bool(found[0][0])
        columns = self._run("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1", self._table)
        self._types = {name: _dtype(declared) for name, declared in columns}
        return dict(self._types)

    def snapshot(self) -> str:
        """The file and its log of changes as they are; a change while reading is not seen but makes another."""
        return file_snapshot("sqlite", [self._path, self._path.with_name(f"{self._path.name}-wal")])

    def stream(self, plan: ExtractionPlan) -> Generator[tuple[list[str], list[tuple[Any, ...]]]]:
        """Names and rows of the columns that are delivered or chosen by, in stored order; of a view sorted by all."""
        needed = list(
            dict.fromkeys([*(each.source_name for each in plan.columns), *sorted(plan.source_filter.columns)])
        )
        columns = ", ".join(map(quoted, needed))
        order = "NOT INDEXED" if self._is_table else f"ORDER BY {columns}"
        cursor = self._run(f"SELECT {columns} FROM {quoted(self._table)} {order}")  # noqa: S608 - quoted
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            yield needed, rows

    def frame(
        self, piece: tuple[list[str], list[tuple[Any, ...]]], plan: ExtractionPlan, unreadable: Unreadable
    ) -> pl.DataFrame:
        """The kept rows, typed as declared. A value that decides about a row counts as unreadable before the choice."""
        names, rows = piece
        delivered = {each.source_name: each.name for each in plan.columns}
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        frame = pl.DataFrame(
            [_series(name, columns[name], self._types[name], delivered.get(name, name), unreadable) for name in names]
        )
        kept = frame.filter(plan.source_filter.expression(plan.period, self._types))
        return kept.select(pl.col(each.source_name).alias(each.name) for each in plan.columns)

    def _run(self, text: str, *parameters: str) -> sqlite3.Cursor:
        if self._connection is None:
            raise RuntimeError("not open")
        return self._connection.execute(text, parameters)


def _dtype(declared: str) -> pl.DataType:
    bare = declared.upper().partition("(")[0].strip()
    if bare in _MOMENTS:
        return _MOMENTS[bare]
    return next((dtype for part, dtype in _AFFINITIES if part in bare), pl.Unknown())


def _series(
    name: str, values: tuple[Any, ...], dtype: pl.DataType, delivered: str, unreadable: Unreadable
) -> pl.Series:
    stored = dtype if dtype.base_type() in _FITTING else pl.String()
    kind = stored.base_type()
    if set(map(type, values)) - {type(None)} <= _USUAL.get(kind, set()):
        held = pl.Series(name, values, dtype=stored)
        nulls = held.null_count()
    else:
        fitting = _FITTING[kind]
        held = pl.Series(name, [fitting(value) for value in values], dtype=stored)
        nulls = values.count(None)
    if stored != dtype:
        held = held.to_frame().select(read_text(pl.col(name), PlannedColumn(name, name, dtype))).to_series().alias(name)
    if lost := held.null_count() - nulls:
        unreadable(delivered, lost)
    return held
