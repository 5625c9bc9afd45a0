"""One connection to PostgreSQL: one read-only snapshot, within limits, with a role that can only read.

Rows come in the order in which they are stored, whatever the planner would rather do, so that reading the same data
again gives the same order. Policies that hide rows make an error instead of a shorter delivery.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from typing import Any

import polars as pl
import pyarrow as pa
from adbc_driver_manager._reader import AdbcRecordBatchReader
from adbc_driver_manager.dbapi import Connection, Error
from adbc_driver_postgresql import dbapi

from core.errors import SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.sources.plan import ExtractionPlan, Unreadable
from flows.sources.postgres.connection import conninfo
from flows.sources.postgres.types import PostgresColumn, PostgresDialect, setting, typed
from flows.sources.sql import quoted, select

BATCH_BYTES = 16 * 1024 * 1024  # of one Arrow batch
_BATCH_HINT = "adbc.postgresql.batch_size_hint_bytes"
_STORED_IN_ORDER = ("r", "p", "m")  # relkind of tables, partitioned tables and materialised views
_SETTINGS = {
    "search_path": "pg_catalog",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "row_security": "off",  # an error where a policy would hide rows
    "synchronize_seqscans": "off",  # the next four: rows in the order in which they are stored
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_TABLE = """
SELECT c.oid::int8, c.relkind::text, EXISTS (
  SELECT FROM pg_roles r WHERE pg_has_role(current_user, r.oid, 'MEMBER') AND (
    has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    OR has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE')))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm', 'v', 'f')"""
_COLUMNS = """
SELECT a.attname::text, CASE WHEN b.typtype = 'e' THEN 'enum'
    WHEN b.typnamespace <> 'pg_catalog'::regnamespace THEN 'foreign' ELSE b.typname::text END,
  (CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END)::int8
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = ($1)::int8::oid AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum"""
_SNAPSHOT = """
SELECT concat_ws(' ', 'system', (SELECT system_identifier FROM pg_control_system()), 'database', d.oid,
  'snapshot', pg_current_snapshot()) FROM pg_database d WHERE d.datname = current_database()"""


class PostgresSession:
    """A transaction for one table, as `flows.sources.database.Session` says."""

    def __init__(
        self, source_id: str, table: tuple[str, str], connection: Callable[[], str], limits: SourceSettings
    ) -> None:
        self._source_id = source_id
        self._table = table
        self._conninfo = connection
        self._limits = limits
        self._connection: Connection | None = None
        self._columns: dict[str, PostgresColumn] = {}
        self._in_stored_order = False

    def open(self) -> None:
        """Connect, and begin the one snapshot in which everything is read."""
        self._connection = dbapi.connect(conninfo(self._source_id, self._conninfo(), self._limits))
        self._run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        milliseconds = str(round(self._limits.statement_seconds * 1000))
        self._set(_SETTINGS | {"statement_timeout": milliseconds, "lock_timeout": milliseconds})

    def close(self) -> None:
        """End the transaction and the connection."""
        if self._connection is not None:
            self._connection.close()

    def interrupt(self) -> None:
        """Ask the server to stop what it does for this connection."""
        if self._connection is not None:
            with contextlib.suppress(Error):
                self._connection.adbc_cancel()

    def types(self) -> dict[str, pl.DataType]:
        """The columns; `SourceUnavailable` if there is no table, `UnusableInput` if the role could change it."""
        name = ".".join(self._table)
        found = self._rows(_TABLE, self._table)
        if not found:
            raise SourceUnavailable(f"source {self._source_id} has no table {name}: restore it")
        oid, kind, writable = found[0]
        if writable:
            raise UnusableInput(
                f"source {self._source_id} is read by a role that can change table {name}: "
                "connect with one that was granted SELECT and nothing else"
            )
        self._in_stored_order = kind in _STORED_IN_ORDER
        self._columns = {row[0]: PostgresColumn(*row) for row in self._rows(_COLUMNS, [str(oid)])}
        return {each.name: each.dtype for each in self._columns.values()}

    def snapshot(self) -> str:
        """Which state is read: server, database, and the transactions that it has seen."""
        return f"postgresql {self._rows(_SNAPSHOT)[0][0]}"

    def stream(self, plan: ExtractionPlan) -> Generator[pa.RecordBatch]:
        """The batches of the plan's SELECT."""
        types = {each.name: each.dtype for each in self._columns.values()}
        table = ".".join(map(quoted, self._table))
        query = select(PostgresDialect(self._columns), table, plan, types, sorted_by_all=not self._in_stored_order)
        self._set({setting(number): value for number, value in enumerate(query.parameters)})
        with self._open.cursor() as cursor:
            cursor.adbc_statement.set_options(**{_BATCH_HINT: str(BATCH_BYTES)})
            cursor.execute(query.text)
            # the driver's own reader: that of Arrow, which `fetch_record_batch` gives, loses the SQLSTATE of an error
            handle = cursor.fetch_arrow()
            yield from AdbcRecordBatchReader._import_from_c(handle.address)  # noqa: SLF001

    def frame(self, piece: pa.RecordBatch, plan: ExtractionPlan, unreadable: Unreadable) -> pl.DataFrame:
        """Types of ours; `SourceUnavailable` if a type was changed between looking and reading."""
        columns = [(each.name, self._columns[each.source_name]) for each in plan.columns]
        frame = pl.DataFrame(pl.from_arrow(piece))
        if frame.dtypes != [column.arrives_as for _, column in columns]:
            raise SourceUnavailable(f"source {self._source_id} changed while it was read: resume when it is complete")
        return typed(frame, [column.null_count for column in piece.columns], columns, unreadable)

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("not connected")
        return self._connection

    def _run(self, text: str) -> None:
        with self._open.cursor() as cursor:
            cursor.execute(text)

    def _set(self, settings: dict[str, str]) -> None:
        if settings:
            calls = ", ".join(f"set_config('{name}', ${at}, true)" for at, name in enumerate(settings, 1))
            self._rows(f"SELECT {calls}", list(settings.values()))

    def _rows(self, text: str, parameters: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        with self._open.cursor() as cursor:
            cursor.execute(text, list(parameters) or None)
            return list(cursor.fetchall())
