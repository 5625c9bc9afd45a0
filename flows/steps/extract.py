"""Step 2: the agreed columns and rows, and nothing else, from the registered source, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from core.period import Period
from flows.sources.base import Source, Told, tell_nobody
from flows.sources.plan import ExtractionPlan, Unreadable, planned_columns
from schemas.agreement import Agreement
from schemas.compiler import CompiledTable
from schemas.manifest import EditionName, MutationCounts, Plan, PlanColumn


def plan(agreement: Agreement, compiled: CompiledTable, period: Period) -> ExtractionPlan:
    """What will be read, decided by the agreement and the period alone."""
    told = None if agreement.mutations is None else agreement.mutations.column  # not read: it tells what happened
    columns = tuple(column for column in planned_columns(compiled) if column.name != told)
    return ExtractionPlan(columns, agreement.filter, period)


@dataclass(frozen=True)
class Read:
    """What is told about a delivery when all of it was read. Of a full one there are no `mutations`."""

    plan: Plan
    mutations: MutationCounts | None


def plan_document(
    agreement: Agreement,
    extraction: ExtractionPlan,
    participants: str | None = None,
    states: Sequence[str] = (),
    base: EditionName | None = None,
) -> Plan:
    """What was read, for the sealed pakbon to tell; its digest is public. `participants` is the digest of their set.

    `states` holds the state of the source once that was told (`flows.sources.base`). `base` is the delivery that the
    rows were compared with.
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
        mutations=None if agreement.mutations is None else agreement.mutations.column,
        base=base,
    )


def extract(
    source: Source, extraction: ExtractionPlan, unreadable: Unreadable, told: Told = tell_nobody
) -> Iterator[pl.DataFrame]:
    """Batches of the source, read lazily: nothing is read until the next step asks for it."""
    return source.batches(extraction, unreadable, told)
