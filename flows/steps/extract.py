"""Step 2: the agreed columns and rows, and nothing else, from the registered source, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import polars as pl

from core.period import Period
from flows.sources.base import Source, Told, tell_nobody
from flows.sources.plan import ExtractionPlan, Unreadable, planned_columns
from schemas.agreement import Agreement
from schemas.compiler import CompiledTable
from schemas.manifest import Plan, PlanColumn


def plan(agreement: Agreement, compiled: CompiledTable, period: Period) -> ExtractionPlan:
    """What will be read, decided by the agreement and the period alone."""
    return ExtractionPlan(planned_columns(compiled), agreement.filter, period)


def plan_document(
    agreement: Agreement, extraction: ExtractionPlan, participants: str | None = None, states: Sequence[str] = ()
) -> Plan:
    """What was read, for the sealed pakbon to tell; its digest is public. `participants` is the digest of their set.

    `states` holds the state of the source once that was told (`flows.sources.base`).
    """
    columns = (
        PlanColumn(name=column.name, source_name=column.source_name, type=str(column.dtype))
        for column in extraction.columns
    )
    return Plan(
        agreement=agreement.id,
        agreement_digest=agreement.digest,
        source=agreement.source,
        snapshot=states[0] if states else None,
        columns=tuple(columns),
        filter=tuple(agreement.contract.custom("gla.filter") or ()),
        period=str(extraction.period),
        participants=participants,
    )


def extract(
    source: Source, extraction: ExtractionPlan, unreadable: Unreadable, told: Told = tell_nobody
) -> Iterator[pl.DataFrame]:
    """Batches of the source, read lazily: nothing is read until the next step asks for it."""
    return source.batches(extraction, unreadable, told)
