"""Our extraction from PostgreSQL, by itself: `bench_postgres.py` times it as a process. Argument: a libpq string."""

from __future__ import annotations

import sys

import polars as pl

from core.period import Period
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.sources.postgres.source import postgres_source
from schemas.filters import parse_filter

PRODUCT = "inkomstenverhoudingen"
COLUMNS = (
    "bsn", "loonheffingennummer", "nummer_ikv", "code_soort_ikv",
    "datum_aanvang_tijdvak", "datum_einde_tijdvak", "aantal_verloonde_uren", "sv_loon",
)  # fmt: skip
PERIOD = "2026-01-01--2026-05-31"


def extracted(conninfo: str) -> int:
    """Read everything as a delivery does; the number of rows."""
    rows = [
        {"column": "datum_aanvang_tijdvak", "operator": "greaterOrEqualTo", "bound": "period.start"},
        {"column": "datum_aanvang_tijdvak", "operator": "lessThan", "bound": "period.end"},
    ]
    columns = tuple(PlannedColumn(name, name, pl.String()) for name in COLUMNS)
    plan = ExtractionPlan(columns, parse_filter(rows), Period.parse(PERIOD))
    return sum(frame.height for frame in postgres_source("bench", PRODUCT, lambda: conninfo).batches(plan))


if __name__ == "__main__":
    extracted(sys.argv[1])
