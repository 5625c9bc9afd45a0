"""What is still to come: deliveries that are overdue and those that fall due next, from agreements and ledger.

The planner (`flows.steps.planning`) asks what it should begin; here it is told what readers wait for. So a delivery
that was begun and stopped is overdue as long as it is not there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agreements import store
from core.clock import to_rfc3339
from core.database import reading
from core.errors import GlaError
from flows.steps.agree import agree
from flows.steps.each_active import of_each_active
from flows.steps.planning import HORIZON, planned
from flows.wiring import Services
from ledger import deliveries
from ledger.deliveries import Delivery
from ledger.history import Choice
from ledger.states import DONE, State
from schemas.agreement import Agreement


@dataclass(frozen=True)
class Expected:
    """A delivery that is not there yet. `due` is RFC 3339 text in UTC; `state` and `error` are of what was begun."""

    product: str
    agreement: str
    recipient: str
    period: str
    due: str
    overdue: bool
    state: State | None
    error: str | None


def outlook(services: Services, choice: Choice) -> tuple[list[Expected], list[str]]:
    """What is overdue, oldest first, then what falls due within `HORIZON`; and a line for each agreement, of those that
    are active, under which nothing may be delivered. Of the choice the states and times do not count.
    """
    found: list[Expected] = []
    problems: list[str] = []
    for _, expected in of_each_active(
        services, lambda each: _expected(services, agree(services, each)), lambda stored: _fits(choice, stored)
    ):
        if isinstance(expected, GlaError):
            problems.append(f"{expected.code}: {expected}")
        else:
            found += expected
    chosen = [each for each in found if choice.period in (None, each.period)]
    return sorted(chosen, key=lambda each: (not each.overdue, each.due, each.agreement)), problems


def _fits(choice: Choice, stored: store.StoredAgreement) -> bool:
    asked = ((choice.agreement, stored.id), (choice.recipient, stored.recipient), (choice.product, stored.product))
    return all(value in (None, has) for value, has in asked)


def _expected(services: Services, agreement: Agreement) -> list[Expected]:
    with reading(services.engine) as connection:
        begun: dict[str, list[Delivery]] = {}
        for delivery in deliveries.of_agreement(connection, agreement.id):
            begun.setdefault(delivery.period, []).append(delivery)
    now: datetime = services.clock()
    found = []
    for item in planned(agreement, now + HORIZON):
        editions = begun.get(str(item.period), [])
        if any(each.state in DONE or each.published_at is not None for each in editions):
            continue
        last = max(editions, key=lambda each: each.edition, default=None)
        found.append(
            Expected(
                product=agreement.product,
                agreement=agreement.id,
                recipient=agreement.recipient,
                period=str(item.period),
                due=to_rfc3339(item.at),
                overdue=item.at <= now,
                state=None if last is None else last.state,
                error=None if last is None else last.error,
            )
        )
    return found
