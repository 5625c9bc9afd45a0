"""A table or view of a PostgreSQL database as a source. Rows that others write while it is read are not seen.

The connection is a secret: a libpq string (`postgresql://...` or `host=... dbname=...`) that is read when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from adbc_driver_manager.dbapi import Error

from core.settings import SourceSettings
from flows.sources.database import DatabaseSource
from flows.sources.postgres.session import PostgresSession

_UNREACHABLE = "cannot be reached or read: see whether its server runs, and lets the registered role in"
_REASONS = {  # by SQLSTATE, which libpq does not tell where it cannot connect
    "57014": "did not answer in time: raise GLA_SOURCES__STATEMENT_SECONDS, or see what holds it up",
    "55P03": "did not answer in time: something holds a lock on the table",
    "42P01": "has no such table any more: restore it",
    "42501": "may not be read by its role: grant it SELECT (and BYPASSRLS where policies hide rows)",
}


def postgres_source(
    source_id: str, table: str, connection: Callable[[], str], limits: SourceSettings | None = None
) -> DatabaseSource:
    """`table` is "schema.name"; without a schema it is one of `public`. `connection` gives the libpq string."""
    limits = limits or SourceSettings()
    schema, dot, name = table.partition(".")
    names = (schema, name) if dot else ("public", schema)
    return DatabaseSource(
        source_id, "postgresql", lambda: PostgresSession(source_id, names, connection, limits), _reason, limits
    )


def _reason(error: Exception) -> str | None:
    if isinstance(error, Error):
        return _REASONS.get(error.sqlstate or "", _UNREACHABLE)
    return _UNREACHABLE if isinstance(error, pa.ArrowException | OSError) else None
