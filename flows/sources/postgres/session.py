"""One connection to PostgreSQL: one read-only snapshot, within limits, with a role that can only read.

Rows come in the order in which they are stored, whatever the planner would rather do, so that reading the same data
again gives the same order. Policies that hide rows make an error instead of a shorter delivery.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
from adbc_driver_manager.dbapi import Connection, Error
from adbc_driver_postgresql import dbapi

from core.errors import SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.sources.postgres.types import PostgresColumn, setting

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
SELECT a.attname::text, CASE WHEN b.typtype = 'e' THEN 'enum' ELSE b.typname::text END,
  (CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END)::int8
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
WHERE a.attrelid = ($1)::int8::oid AND a.attnum > 0 AND NOT a.attisdropped
  AND (b.typnamespace = 'pg_catalog'::regnamespace OR b.typtype = 'e')
ORDER BY a.attnum"""
_SNAPSHOT = """
SELECT concat_ws(' ', 'system', (SELECT system_identifier FROM pg_control_system()), 'database', d.oid,
  'snapshot', pg_current_snapshot()) FROM pg_database d WHERE d.datname = current_database()"""


@dataclass(frozen=True)
class Relation:
    """A table that is offered, as the catalogue describes it."""

    columns: dict[str, PostgresColumn]
    in_stored_order: bool


class Session:
    """A transaction for one table, named by schema and name. Foreign exceptions are the caller's to translate."""

    def __init__(self, source_id: str, schema: str, table: str, limits: SourceSettings) -> None:
        self._source_id = source_id
        self._names = (schema, table)
        self._limits = limits
        self._connection: Connection | None = None

    def connect(self, conninfo: str) -> Self:
        """Connect, and begin the one snapshot in which everything is read."""
        self._connection = dbapi.connect(conninfo)
        self._run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        milliseconds = str(round(self._limits.statement_seconds * 1000))
        self._set(_SETTINGS | {"statement_timeout": milliseconds, "lock_timeout": milliseconds})
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._connection is not None:
            self._connection.close()

    def interrupt(self) -> None:
        """Ask the server to stop what it does for this connection."""
        if self._connection is not None:
            with contextlib.suppress(Error):
                self._connection.adbc_cancel()

    def relation(self) -> Relation:
        """The table; `SourceUnavailable` if there is none, `UnusableInput` if the role could change it."""
        found = self._rows(_TABLE, self._names)
        if not found:
            raise SourceUnavailable(f"source {self._source_id} has no table {'.'.join(self._names)}: restore it")
        oid, kind, writable = found[0]
        if writable:
            raise UnusableInput(
                f"source {self._source_id} is read by a role that can change table {'.'.join(self._names)}: "
                "connect with one that was granted SELECT and nothing else"
            )
        columns = [PostgresColumn(*row) for row in self._rows(_COLUMNS, [str(oid)])]
        return Relation({each.name: each for each in columns}, kind in _STORED_IN_ORDER)

    def snapshot(self) -> str:
        """Which state is read: server, database, and the transactions that it has seen."""
        return f"postgresql {self._rows(_SNAPSHOT)[0][0]}"

    def stream(self, text: str, parameters: Sequence[str]) -> Generator[pa.RecordBatch]:
        """The batches of a SELECT whose parameters are settings (`flows.sources.postgres.types.setting`)."""
        self._set({setting(number): value for number, value in enumerate(parameters)})
        with self._open.cursor() as cursor:
            cursor.execute(text)
            yield from cursor.fetch_record_batch()

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
