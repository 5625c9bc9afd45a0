"""Our extraction from PostgreSQL to frames against `psql` that copies the same rows to nowhere.

Both ask the same server for the same 8 of 12 columns and the rows of 5 of 12 months. Ours decodes them into frames of
typed columns, checks the role and the snapshot, and counts its start-up; `psql` looks at nothing.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import run
from adbc_driver_postgresql import dbapi
from postgres_extraction import COLUMNS, PRODUCT, extracted

from tests.servers.postgres import READER, PostgresServer, start_postgres

ROWS = int(os.environ.get("GLA_BENCH_POSTGRES_ROWS", "20000000"))


def fill(server: PostgresServer, database: str, path: Path) -> None:
    """A table as a loader leaves it: frozen, analysed, no index."""
    with dbapi.connect(server.conninfo(database, "postgres")) as connection, connection.cursor() as cursor:
        file = pq.ParquetFile(path)
        plain = pl.from_arrow(file.read_row_group(0)).clear().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        batches = (batch.cast(plain) for batch in file.iter_batches(250_000))
        for number, batch in enumerate(batches):
            cursor.adbc_ingest(PRODUCT, batch, mode="append" if number else "create")
        connection.commit()
    with server.connect(database) as connection:
        connection.execute(f"GRANT SELECT ON {PRODUCT} TO {READER}")
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {PRODUCT}")


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    source = work / "source.parquet"
    run.generated(PRODUCT, source, ROWS)
    with start_postgres() as server:
        database = server.create_database()
        fill(server, database, source)
        source.unlink()
        conninfo = server.conninfo(database)
        statement = (
            f"COPY (SELECT {', '.join(COLUMNS)} FROM {PRODUCT} WHERE datum_aanvang_tijdvak >= DATE '2026-01-01' "
            "AND datum_aanvang_tijdvak < DATE '2026-06-01') TO STDOUT (FORMAT binary)"
        )
        ours = [sys.executable, str(run.ROOT / "bench" / "postgres_extraction.py"), conninfo]
        theirs = [str(server.program("psql")), "-X", "-q", "-d", conninfo, "-c", statement]
        timed = partial(run.timed, environment=run.ENVIRONMENT | {"PYTHONPATH": str(run.ROOT)})
        measured = run.pairs(lambda _: timed(ours), lambda _: timed(theirs))
        rows = extracted(conninfo)
    return {
        "postgres_extract_vs_copy": measured["ratio"],
        "postgres_extract_rows_per_s": rows / measured["ours"],
        "postgres_extract_peak_rss_mb": measured["rss"],
    }
