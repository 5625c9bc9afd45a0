"""Step 2: the agreed columns and rows, and nothing else, from the registered source, in batches."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from core.canonical import digest
from core.period import Period
from flows.sources.files import FileSource
from flows.sources.plan import ExtractionPlan, Unreadable, planned_columns
from schemas.agreement import Agreement
from schemas.compiler import CompiledTable


def plan(agreement: Agreement, compiled: CompiledTable, period: Period) -> ExtractionPlan:
    """What will be read, decided by the agreement and the period alone."""
    return ExtractionPlan(planned_columns(compiled), agreement.filter, period)


def plan_digest(agreement: Agreement, extraction: ExtractionPlan) -> str:
    """SHA-256 over what was read: agreement, source, columns and period. It goes into the sealed pakbon."""
    return digest(
        {
            "agreement": agreement.digest,
            "source": agreement.source,
            "columns": [[column.source_name, column.name, str(column.dtype)] for column in extraction.columns],
            "period": str(extraction.period),
        }
    )


def extract(source: FileSource, extraction: ExtractionPlan, unreadable: Unreadable) -> Iterator[pl.DataFrame]:
    """Batches of the source, read lazily: nothing is read until the next step asks for it."""
    return source.batches(extraction, unreadable)
