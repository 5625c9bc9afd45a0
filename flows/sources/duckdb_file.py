"""A table or view of a DuckDB file as a source. The file is opened for reading only, which keeps writers out.

Nothing else is reached: no other file, no extension, no variable of this program, and nothing is spilled to a disk.
Needs the package `duckdb`, which is an extra: `gla[duckdb]`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa

from core.errors import SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.sources.base import file_snapshot
from flows.sources.database import DatabaseSource
from flows.sources.plan import ExtractionPlan, Unreadable
from flows.sources.sql import quoted, select
from flows.sources.values import without_impossible

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # else a variable of ours could stand for a table that is gone
    "temp_directory": "",
    "lock_configuration": "true",
}
_ROWS_AT_ONCE = 100_000
_SQL_NAMES: dict[type[pl.DataType], str] = {
    pl.Float32: "FLOAT", pl.Float64: "DOUBLE", pl.String: "VARCHAR", pl.Boolean: "BOOLEAN", pl.Date: "DATE",
    pl.UInt64: "UBIGINT",
}  # fmt: skip
_TABLE = """
SELECT estimated_size IS NOT NULL FROM duckdb_tables() WHERE schema_name = $1 AND table_name = $2
UNION ALL SELECT false FROM duckdb_views() WHERE schema_name = $1 AND view_name = $2 AND NOT internal"""


def duckdb_source(source_id: str, path: Path, table: str, limits: SourceSettings | None = None) -> DatabaseSource:
    """`table` is "schema.name"; without a schema it is one of `main`."""
    schema, dot, name = table.partition(".")
    names = (schema, name) if dot else ("main", schema)
    return DatabaseSource(
        source_id, "duckdb", lambda: DuckDbSession(source_id, path, names), _reason, limits or SourceSettings()
    )


def _reason(error: Exception) -> str | None:
    import duckdb  # noqa: PLC0415 - an extra

    if isinstance(error, FileNotFoundError):
        return "does not exist"
    return (
        "cannot be read: it is damaged, or in use"
        if isinstance(error, duckdb.Error | pa.ArrowException | OSError)
        else None
    )


class DuckDbDialect:
    """Parameters are bound by the driver, a list of them as one array."""

    def __init__(self, types: dict[str, pl.DataType]) -> None:
        self._types = types

    def read(self, column: str) -> str:
        return f"CAST({quoted(column)} AS VARCHAR)" if self._types[column] == pl.String else quoted(column)

    def compared(self, column: str) -> str:
        """Text as its bytes, since a column may have a collation of its own; their order is that of code points."""
        return f"encode({self.read(column)})" if self._types[column] == pl.String else quoted(column)

    def value(self, dtype: pl.DataType, parameter: int) -> str:
        plain = f"CAST(${parameter + 1} AS {_sql_name(dtype)})"
        return f"encode({plain})" if dtype == pl.String else plain

    def one_of(self, dtype: pl.DataType, parameter: int) -> str:
        item = "encode(item)" if dtype == pl.String else "item"
        items = f"SELECT unnest(CAST(${parameter + 1} AS {_sql_name(dtype)}[])) AS item"
        return f"(SELECT {item} FROM ({items}))"  # noqa: S608 - fixed words

    def bound(self, values: tuple[Any, ...], *, many: bool) -> Any:
        return list(values) if many else values[0]


class DuckDbSession:
    """One opened file, as `flows.sources.database.Session` says."""

    def __init__(self, source_id: str, path: Path, table: tuple[str, str]) -> None:
        self._source_id = source_id
        self._path = path
        self._table = table
        self._connection: DuckDBPyConnection | None = None
        self._types: dict[str, pl.DataType] = {}

    def open(self) -> None:
        """Open the file; `UnusableInput` where the package is not installed."""
        try:
            import duckdb  # noqa: PLC0415 - an extra
        except ImportError:
            duckdb = None  # type: ignore[assignment]
        if duckdb is None:
            raise UnusableInput(f"source {self._source_id} needs the package duckdb: install gla[duckdb]")
        self._path.stat()  # FileNotFoundError says more than its own errors
        self._connection = duckdb.connect(str(self._path), read_only=True, config=_CONFIG)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()

    def interrupt(self) -> None:
        """End the running query."""
        if self._connection is not None:
            self._connection.interrupt()

    def types(self) -> dict[str, pl.DataType]:
        """The columns; `SourceUnavailable` if there is no table."""
        if not self._rows(_TABLE):
            raise SourceUnavailable(f"source {self._source_id} has no table {'.'.join(self._table)}: restore it")
        rows = self._query(f"SELECT * FROM {self._name} LIMIT 0", [])  # noqa: S608 - quoted
        columns = zip(rows.to_arrow_reader().schema, rows.types, strict=True)
        self._types = {field.name: _dtype(field, str(declared)) for field, declared in columns}
        return dict(self._types)

    def snapshot(self) -> str:
        """The file as it is: while it is open nobody writes to it."""
        return file_snapshot("duckdb", [self._path, self._path.with_name(f"{self._path.name}.wal")])

    def stream(self, plan: ExtractionPlan) -> Generator[pa.RecordBatch]:
        """The batches of the plan's SELECT, in the order in which rows were added."""
        is_table = self._rows(_TABLE)[0][0]
        query = select(DuckDbDialect(self._types), self._name, plan, self._types, sorted_by_all=not is_table)
        yield from self._query(query.text, list(query.parameters)).to_arrow_reader(_ROWS_AT_ONCE)

    def frame(self, piece: pa.RecordBatch, plan: ExtractionPlan, unreadable: Unreadable) -> pl.DataFrame:
        """Types of ours; what they cannot hold is null and counted."""
        frame = pl.DataFrame(pl.from_arrow(piece))
        read = [
            without_impossible(frame.to_series(at).cast(self._types[each.source_name])).alias(each.name)
            for at, each in enumerate(plan.columns)
        ]
        for at, values in enumerate(read):
            if lost := values.null_count() - piece.column(at).null_count:
                unreadable(values.name, lost)
        return pl.DataFrame(read)

    @property
    def _name(self) -> str:
        return ".".join(map(quoted, self._table))

    def _query(self, text: str, parameters: list[Any]) -> DuckDBPyRelation:
        """A relation: what a connection itself gives was read as a whole before."""
        if self._connection is None:
            raise RuntimeError("not open")
        return self._connection.sql(text, params=parameters)

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        if self._connection is None:
            raise RuntimeError("not open")
        return self._connection.execute(text, list(self._table)).fetchall()


def _dtype(field: pa.Field, declared: str) -> pl.DataType:
    """Categories are text, moments with a time zone are in UTC; `Unknown` for what Polars does not have.

    Arrow has no time of day with an offset, and DuckDB gives it one without.
    """
    if "TIME WITH TIME ZONE" in declared:  # also inside a list or struct
        return pl.Unknown()
    if pa.types.is_dictionary(field.type):
        return pl.String()
    if pa.types.is_interval(field.type):  # Polars would panic
        return pl.Unknown()
    try:
        dtype = pl.DataFrame(pl.from_arrow(pa.schema([field]).empty_table())).dtypes[0]
    except (ValueError, TypeError, NotImplementedError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return pl.Unknown()
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return pl.Datetime(dtype.time_unit, "UTC")
    return dtype


def _sql_name(dtype: pl.DataType) -> str:
    if isinstance(dtype, pl.Decimal):
        return f"DECIMAL({dtype.precision}, {dtype.scale})"
    if isinstance(dtype, pl.Datetime):
        return "TIMESTAMP" if dtype.time_zone is None else "TIMESTAMPTZ"
    return _SQL_NAMES.get(dtype.base_type(), "BIGINT")
