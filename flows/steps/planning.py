"""Which deliveries fall due, decided from the signed agreements and the ledger. No scheduler is asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from core.clock import to_rfc3339
from core.errors import GlaError
from core.period import Period
from flows.steps.agree import agree
from flows.steps.each_active import of_each_active
from flows.wiring import Services
from ledger.states import STOPPED
from schemas.agreement import Agreement, Frequency

HORIZON = timedelta(days=40)  # how far ahead the operator sees what will run
_NETHERLANDS = ZoneInfo("Europe/Amsterdam")
_START_OF_WORK = time(6)  # deliveries run before office hours


@dataclass(frozen=True)
class Due:
    """A delivery that is planned; `at` may lie in the past when it is overdue."""

    agreement_id: str
    period: Period
    at: datetime


def due_deliveries(services: Services) -> tuple[list[Due], list[str]]:
    """What is due up to `HORIZON` ahead and was not begun, and one line per agreement that may not deliver."""
    due: list[Due] = []
    problems: list[str] = []
    for _, found in of_each_active(services, lambda each: _due(services, agree(services, each))):
        if isinstance(found, GlaError):
            problems.append(f"{found.code}: {found}")
        else:
            due += found
    return sorted(due, key=lambda item: item.at), problems


def _due(services: Services, agreement: Agreement) -> list[Due]:
    items = planned(agreement, services.clock() + HORIZON)
    return [item for item in items if not _begun(services, item)]


def _begun(services: Services, item: Due) -> bool:
    """Whether the ledger has it. One refused or failed before its day still falls due; one after it awaits a person."""
    edition = services.ledger.latest_edition(item.agreement_id, item.period)
    delivery = services.ledger.get(item.agreement_id, item.period, edition) if edition else None
    return delivery is not None and (delivery.state not in STOPPED or delivery.updated_at >= to_rfc3339(item.at))


def planned(agreement: Agreement, until: datetime) -> Iterator[Due]:
    """All planned deliveries of an agreement that fall due before `until` and before it ends."""
    if agreement.planning is None:
        return
    for period in _periods(agreement.planning.frequency, agreement.valid_from):
        day = period.end_exclusive + timedelta(days=agreement.planning.latency_days)
        at = datetime.combine(day, _START_OF_WORK, _NETHERLANDS)
        if day > agreement.valid_until or at > until:
            return
        yield Due(agreement.id, period, at)


def _periods(frequency: Frequency, first_day: date) -> Iterator[Period]:
    """Whole periods from the first that begins on or after `first_day`."""
    day = first_day
    while True:
        period = Period.parse(_name(frequency, day))
        if period.start >= first_day:
            yield period
        day = period.end_exclusive


def _name(frequency: Frequency, day: date) -> str:
    text = day.isoformat()
    names = {"day": text, "month": text[:7], "quarter": f"{text[:4]}-Q{(day.month + 2) // 3}", "year": text[:4]}
    return names[frequency]
