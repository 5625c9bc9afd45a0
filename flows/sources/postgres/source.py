"""A table or view of a PostgreSQL database as a source. Rows that others write while it is read are not seen.

The connection is a secret: a libpq string (`postgresql://...` or `host=... dbname=...`) that is read when it is needed.
Without an `sslmode` of its own it is `verify-full`, unless the server is on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl
import psycopg
import pyarrow as pa
from adbc_driver_manager.dbapi import Error
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.errors import GlaError, SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.sources.ahead import Silent, ahead
from flows.sources.base import Kind, Told, of_equal_size, refuse_unreadable, require_columns, tell_nobody
from flows.sources.plan import ExtractionPlan, Unreadable
from flows.sources.postgres.session import Relation, Session
from flows.sources.postgres.types import PostgresDialect, typed
from flows.sources.sql import quoted, select

T = TypeVar("T")

_HERE = ("", "localhost", "127.0.0.1", "::1")
_REASONS = {  # SQLSTATE, or its class
    "57014": "did not answer in time: raise GLA_SOURCES__STATEMENT_SECONDS, or see what holds it up",
    "55P03": "did not answer in time: something holds a lock on the table",
    "42P01": "has no such table any more: restore it",
    "42501": "may not be read by its role: grant it SELECT (and BYPASSRLS where policies hide rows)",
    "28": "refused the role or its password: see the connection that is registered",
    "3D": "has no such database: see the connection that is registered",
}


@dataclass(frozen=True)
class PostgresSource:
    """`table` is "schema.name"; without a schema it is one of `public`. `connection` gives the libpq string."""

    id: str
    table: str
    connection: Callable[[], str] = field(repr=False)
    limits: SourceSettings = field(default_factory=SourceSettings)

    @property
    def kind(self) -> Kind:
        return "postgresql"

    def schema(self) -> dict[str, pl.DataType]:
        relation = next(self._translated(self._ahead(lambda session: iter([session.relation()]))))
        return {name: column.dtype for name, column in relation.columns.items()}

    def untyped(self) -> frozenset[str]:
        return frozenset()

    def draft_schema(self) -> dict[str, pl.DataType]:
        return self.schema()

    def row_count(self) -> int | None:
        return None

    def batches(
        self, plan: ExtractionPlan, unreadable: Unreadable = refuse_unreadable, told: Told = tell_nobody
    ) -> Iterator[pl.DataFrame]:
        """As `flows.sources.base.Source` says; the server works and the next batch is decoded while one is used."""
        yield from of_equal_size(self._frames(plan, unreadable, told))

    def _frames(self, plan: ExtractionPlan, unreadable: Unreadable, told: Told) -> Iterator[pl.DataFrame]:
        items = self._translated(self._ahead(lambda session: self._read(session, plan)))
        relation, snapshot = next(items)
        told(snapshot)
        columns = [(each.name, relation.columns[each.source_name]) for each in plan.columns]
        for batch in items:
            frame = pl.DataFrame(pl.from_arrow(batch))
            if frame.dtypes != [column.arrives_as for _, column in columns]:
                raise SourceUnavailable(f"source {self.id} changed while it was read: resume when it is complete")
            yield typed(frame, columns, unreadable)

    def _read(self, session: Session, plan: ExtractionPlan) -> Iterator[tuple[Relation, str] | pa.RecordBatch]:
        relation = session.relation()
        types = {name: column.dtype for name, column in relation.columns.items()}
        require_columns(self.id, plan, types)
        for name in (*(each.source_name for each in plan.columns), *plan.source_filter.columns):
            if types[name] == pl.Unknown:
                raise UnusableInput(
                    f"source {self.id} stores column {name} as {relation.columns[name].base}, which has no counterpart "
                    "in a contract: offer a view that casts it"
                )
        table = ".".join(map(quoted, self._names()))
        query = select(
            PostgresDialect(relation.columns), table, plan, types, sorted_by_all=not relation.in_stored_order
        )
        yield relation, session.snapshot()
        yield from session.stream(query.text, query.parameters)

    def _ahead(self, read: Callable[[Session], Iterator[T]]) -> Iterator[T]:
        session = Session(self.id, *self._names(), self.limits)

        def run() -> Generator[T]:
            with session:
                session.connect(self._conninfo())
                yield from read(session)

        return ahead(run(), self.limits.idle_seconds, session.interrupt)

    def _names(self) -> tuple[str, str]:
        schema, dot, name = self.table.partition(".")
        return (schema, name) if dot else ("public", schema)

    def _translated(self, items: Iterator[T]) -> Iterator[T]:
        """The same items; what libpq and the server say may quote data, so only the kind of an error is kept."""
        while True:
            reason = "cannot be reached or read: see whether its server runs"
            try:
                item = next(items)
            except StopIteration:
                return
            except GlaError:
                raise
            except Silent:
                reason = f"did not answer for {self.limits.idle_seconds:g} seconds: see what holds its server up"
            except Error as error:
                state = error.sqlstate or ""
                reason = _REASONS.get(state) or _REASONS.get(state[:2]) or reason
            except (pa.ArrowException, OSError):
                pass
            else:
                yield item
                continue
            raise SourceUnavailable(f"source {self.id} {reason}")

    def _conninfo(self) -> str:
        try:
            values: dict[str, Any] = conninfo_to_dict(self.connection())
        except psycopg.Error:
            values = {}
        if not values:
            raise UnusableInput(f"source {self.id}: its secret is no connection string of PostgreSQL")
        hosts = str(values.get("host", "")).split(",") + str(values.get("hostaddr", "")).split(",")
        if not all(host in _HERE or host.startswith("/") for host in hosts):
            values = {"sslmode": "verify-full"} | values
            if values["sslmode"] == "verify-full":
                values = {"sslrootcert": "system"} | values
        limits = {
            "connect_timeout": str(max(2, round(self.limits.connect_seconds))),
            "keepalives_idle": "30",
            "keepalives_interval": "10",
            "keepalives_count": "3",
            "application_name": "gla",
        }
        return make_conninfo("", **(limits | values))
