"""What the ledger says of deliveries that ended long ago goes by rule: who did what, and the evidence of them."""

from __future__ import annotations

from datetime import timedelta

from core.clock import to_rfc3339
from flows.steps import evidence
from flows.wiring import Services
from ledger.removal import remove_bodies


def forget_events(services: Services) -> int:
    """Remove the bodies of events whose retention (`GLA_DELIVERY__EVENT_DAYS`) is over; returns how many.

    The checkpoint that the caller writes then witnesses the removal, so that nobody can take it back unseen.
    """
    term = timedelta(days=services.settings.delivery.event_days)
    count = remove_bodies(services.ledger, to_rfc3339(services.clock() - term))
    if count:
        evidence.forget(services)
    return count
