"""Does the source still have what an agreement promises? Asked before delivery day, from its schema alone.

No row is read and nothing is recorded. A column that the source has and the agreement does not name is no drift: it
never leaves. A CSV file has no types, so of it only the header is compared. An agreement need not be signed yet; one
whose stored bytes were altered is refused.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from agreements import store
from core.clock import dutch_date
from core.database import reading
from core.errors import GlaError, UnusableInput
from core.period import Period
from flows.sources.base import Source
from flows.sources.plan import ExtractionPlan
from flows.steps import extract
from flows.steps.agree import unaltered
from flows.steps.each_active import of_each_active
from flows.wiring import Services
from schemas.agreement import Agreement
from schemas.compiler import CompiledTable, compile_table
from schemas.logical_types import accepts, misfits
from schemas.table import Column
from schemas.verdict import MISSING, NOT_AGREED

_ALIKE = 0.6  # of difflib's ratio: amount and amount_eur are, amount and remark are not
_MOST_CANDIDATES = 3
_REPAIR = "restore it in the source, or offer an agreement without it"


@dataclass(frozen=True)
class Drift:
    """One difference; `problem` is missing, type, filter or unreadable, `message` a sentence with the next step."""

    agreement_id: str
    column: str | None
    problem: str
    message: str
    candidates: tuple[str, ...] = ()  # columns of the source that may be the missing one under a new name

    def as_json(self) -> dict[str, Any]:
        """The drift as `gla contract drift --json` prints it."""
        return {
            "agreement": self.agreement_id,
            "column": self.column,
            "problem": self.problem,
            "message": self.message,
            "candidates": list(self.candidates),
        }


def drift(services: Services, agreement_id: str) -> list[Drift]:
    """Every difference for one agreement, in whatever state it is; `SourceUnavailable` if the source is not there."""
    with reading(services.engine) as connection:
        stored = store.get(connection, agreement_id)
    agreement = unaltered(stored)
    source = services.sources.get(agreement.source, agreement.contract.table.source_name)
    return list(_compared(agreement, source, Period.parse(f"{dutch_date(services.clock())}")))


def drift_of_all(services: Services) -> tuple[list[Drift], int]:
    """The differences for every active agreement, and how many there are; what cannot be compared is drift too."""
    found: list[Drift] = []
    count = 0
    for agreement_id, drifts in of_each_active(services, lambda each: drift(services, each)):
        count += 1
        if isinstance(drifts, GlaError):
            found.append(Drift(agreement_id, None, "unreadable", f"{drifts.code}: {drifts}"))
        else:
            found += drifts
    return found, count


def _compared(agreement: Agreement, source: Source, period: Period) -> Iterator[Drift]:
    compiled, stored, untyped = compile_table(agreement.contract.table), source.schema(), source.untyped()
    plan = extract.plan(agreement, compiled, period)
    delivered = {column.source_name for column in plan.columns}
    for column in (each for each in compiled.table.columns if each.source_name in delivered):
        if column.source_name not in stored:
            yield _missing(agreement, column, _candidates(column, compiled, stored, untyped))
        elif column.source_name not in untyped:
            yield from _changed(agreement, column, stored[column.source_name])
    lost = sorted(plan.source_filter.columns - stored.keys() - delivered)
    for name in lost:
        sentence = f"source {agreement.source} has no column {name}, by which the agreement chooses its rows: "
        yield Drift(agreement.id, name, "missing", f"{sentence}restore it, or no row can be delivered")
    if plan.source_filter.columns <= stored.keys():
        yield from _filter(agreement, plan, compiled, stored, untyped)


def _missing(agreement: Agreement, column: Column, candidates: tuple[str, ...]) -> Drift:
    named = f" (from {column.source_name})" if column.source_name != column.name else ""
    renamed = f"; it may be called {' or '.join(candidates)} now" if candidates else ""
    step = f"{_REPAIR}{f', or with physicalName {candidates[0]}' if candidates else ''}"
    sentence = f"source {agreement.source} has no column {column.name}{named}{renamed}: {step}"
    return Drift(agreement.id, column.name, "missing", sentence, candidates)


def _candidates(
    column: Column, compiled: CompiledTable, stored: Mapping[str, pl.DataType], untyped: Container[str]
) -> tuple[str, ...]:
    """Columns that no agreement names, of a fitting type and with a name like the missing one's."""
    taken = {each.source_name for each in compiled.table.columns}
    free = {
        _simple(name): name
        for name in stored
        if name not in taken and (name in untyped or accepts(column, stored[name]))
    }
    wanted = (_simple(column.source_name), _simple(column.name))
    close = [name for each in wanted for name in difflib.get_close_matches(each, free, _MOST_CANDIDATES, _ALIKE)]
    return tuple(dict.fromkeys(free[name] for name in close))[:_MOST_CANDIDATES]


def _simple(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _changed(agreement: Agreement, column: Column, dtype: pl.DataType) -> Iterator[Drift]:
    """Where the stored type is no longer one of the agreed type's, at the place inside a nested column."""
    for place, wrong in misfits(column, dtype):
        if wrong == MISSING:
            problem, told = "missing", f"has no {place} any more: {_REPAIR}"
        elif wrong == NOT_AGREED:
            problem, told = "type", f"holds more inside {place} than was agreed: remove that in the source"
        else:
            agreed = _inner(column, place).logical_type
            shown = f" ({dtype})" if place == column.name else ""
            problem = "type"
            told = f"no longer stores {place} as {agreed}{shown}: convert it in the source, or offer a new agreement"
        yield Drift(agreement.id, place, problem, f"source {agreement.source} {told}")


def _inner(column: Column, place: str) -> Column:
    """The column at a place such as `adres.postcode` or `telefoons[]`."""
    inner = [each for each in (column.items, *column.properties.values()) if each is not None]
    below = next(
        (each for each in inner if place == each.name or place.startswith((f"{each.name}.", f"{each.name}["))), None
    )
    return column if below is None else _inner(below, place)


def _filter(
    agreement: Agreement,
    plan: ExtractionPlan,
    compiled: CompiledTable,
    stored: Mapping[str, pl.DataType],
    untyped: Container[str],
) -> Iterator[Drift]:
    """The filter over the types that the source has now, as an extraction would build it."""
    by_source = {column.source_name: compiled.dtypes[column.name] for column in compiled.table.columns}
    types = {name: by_source.get(name, dtype) if name in untyped else dtype for name, dtype in stored.items()}
    try:
        plan.source_filter.expression(plan.period, types)
    except UnusableInput as error:
        sentence = f"source {agreement.source} no longer fits gla.filter: {error}"
        yield Drift(agreement.id, None, "filter", f"{sentence}; convert it in the source, or offer a new agreement")
