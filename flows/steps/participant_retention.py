"""Whom a set held is forgotten when nothing needs it any more (GDPR, article 5(1)(e)); that it was stays recorded.

A past set is needed for as long as a delivery that was made for it may be published again: the retention of deliveries
under the agreement. Of an agreement that is over, every set is past.
"""

from __future__ import annotations

from datetime import date, timedelta

from agreements import store
from agreements.rules import AgreementState
from core.clock import dutch_date, from_rfc3339
from core.database import reading
from flows.steps import participant_sets
from flows.steps.agree import unaltered
from flows.wiring import Services
from ledger.vocabulary import Action, Result
from schemas.participants import ParticipantSet

_OVER = frozenset({AgreementState.ENDED, AgreementState.REVOKED})
_ACTOR = "retention"


def forget_past_sets(services: Services) -> int:
    """Remove the people of every set that is past for long enough; returns of how many."""
    today = dutch_date(services.clock())
    return sum(_forget(services, folder.name, today) for folder in sorted(services.settings.participants_dir.glob("*")))


def _forget(services: Services, agreement_id: str, today: date) -> int:
    with reading(services.engine) as connection:
        stored = store.get(connection, agreement_id)
        sets = participant_sets.history(connection, agreement_id)
    kept_for = unaltered(stored).retention_days or services.settings.delivery.retention_days
    day = today - timedelta(days=kept_for)
    is_over = stored.state in _OVER and dutch_date(from_rfc3339(stored.changed_at)) <= day
    gone = [
        each
        for each in (sets if is_over else participant_sets.past(sets, day))
        if participant_sets.are_kept(services, agreement_id, each)
    ]
    for each in gone:
        _tell(services, agreement_id, each)
        participant_sets.discard(services, agreement_id, each)
    return len(gone)


def _tell(services: Services, agreement_id: str, forgotten: ParticipantSet) -> None:
    services.ledger.record(
        Action.PARTICIPANTS_FORGOTTEN,
        f"participants:{agreement_id}",
        Result.OK,
        _ACTOR,
        {"set": forgotten.number, "people": forgotten.people, "digest": forgotten.digest},
        agreement_id,
        once=f"participants forgotten {agreement_id} {forgotten.number}",
    )
