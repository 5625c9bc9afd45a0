"""What is over is removed, at the destination and from staging; and who has not fetched a delivery is told of in time.

How long a delivery stays is in its signed manifest (`expirationTime`), which nothing here prolongs; under an agreement
that is revoked it goes at once. The intent is in the ledger before anything goes, the outcome when it is seen to be
gone; what cannot be removed now is tried again, and holds up nothing else. A destination where nothing of it is found
may be another place than where it went: that is a problem, until the next run.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from agreements import store
from agreements.rules import AgreementState
from core.clock import dutch_date, from_rfc3339, to_rfc3339
from core.database import reading
from core.errors import (
    AgreementRevoked,
    DeliveryStateError,
    GlaError,
    LedgerUnavailable,
    ReadBackMismatch,
    unexpected,
)
from flows.steps.agree import unaltered
from flows.steps.event_retention import forget_events
from flows.steps.leftovers import remove_leftovers
from flows.steps.order import delivery_folder
from flows.steps.participant_reports import remove_old_reports
from flows.steps.people_retention import forget_people
from flows.steps.seal import Sealed
from flows.steps.staging import disk_errors
from flows.wiring import Services
from ledger import deliveries, expiry
from ledger.deliveries import Delivery
from ledger.states import REVOKED
from schemas.agreement import Agreement
from schemas.manifest import MANIFEST_NAME
from transports.removing import remove

logger = logging.getLogger(__name__)

REMIND_DAYS = (7, 2)  # before the end of a delivery that nobody fetched


@dataclass
class Removed:
    """What one run did: names of deliveries that are gone, one line for each that is not, and how many reports, sets
    of people and details of events went.
    """

    gone: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    reports: int = 0
    sets: int = 0
    events: int = 0


def over(services: Services) -> list[Delivery]:
    """What the next run would remove: what was published, and what was only staged."""
    revoked = _revoked(services)
    published = expiry.expired(services.engine, to_rfc3339(services.clock()), revoked)
    return [*published, *(delivery for delivery, _ in _only_staged(services, revoked))]


def remove_what_is_over(services: Services) -> Removed:
    """Remove everything whose time is over. Doing it again, or after a crash anywhere, changes nothing more."""
    done, revoked = Removed(), _revoked(services)
    for delivery in expiry.expired(services.engine, to_rfc3339(services.clock()), revoked):
        _note(done, delivery, _removed(services, delivery, revoked))
    for delivery, folder in list(_only_staged(services, revoked)):
        _note(done, delivery, _unstaged(services, delivery, folder))
    done.reports = remove_old_reports(services)
    done.sets = forget_people(services)
    done.events = forget_events(services)
    try:
        remove_leftovers(services)
    except GlaError as error:
        done.problems.append(f"what killed processes left of files: {error}")
    services.checkpoint()  # also if nothing went: a run that removed something may have died before it could
    return done


def remove_what_was_revoked(services: Services, agreement_id: str) -> Removed:
    """Remove all that was published or sealed under an agreement that was revoked, until a destination fails: then a
    run of `remove_what_is_over` goes on with it. What a worker holds that may have put it there is told as a problem.
    """
    done, now = Removed(), to_rfc3339(services.clock())
    with reading(services.engine) as connection:
        all_of_it = deliveries.of_agreement(connection, agreement_id)
    done.problems += [
        f"{each.short_name}: a worker is at it, and removes it when it is done, or else gla retention run does"
        for each in all_of_it
        if each.sealed is not None and each.is_held(now)
    ]
    work: list[tuple[Delivery, Callable[[Delivery], GlaError | bool]]] = [
        (each, lambda it: _removed(services, it, {agreement_id}))
        for each in expiry.expired(services.engine, now, [agreement_id])
    ]
    work += [
        (each, partial(_unstaged, services, folder=folder)) for each, folder in _only_staged(services, {agreement_id})
    ]
    for delivery, removal in work:
        outcome = removal(delivery) if delivery.agreement_id == agreement_id else False
        _note(done, delivery, outcome)
        if isinstance(outcome, GlaError) and not isinstance(outcome, ReadBackMismatch):
            break
    services.checkpoint()
    return done


def withdraw_if_revoked(services: Services, agreement_id: str) -> None:
    """`AgreementRevoked` if the agreement was revoked just as a delivery appeared, which is removed again at once."""
    if agreement_id in _revoked(services):
        problems = remove_what_was_revoked(services, agreement_id).problems
        what = "it is not removed yet: run gla retention run" if problems else "it is removed again"
        raise AgreementRevoked(f"agreement {agreement_id} was revoked as the delivery appeared, and {what}")


def remind(services: Services) -> list[str]:
    """Record the reminders that are due and were not given yet; one line for each."""
    now = services.clock()
    until = to_rfc3339(now + timedelta(days=max(REMIND_DAYS)))
    lines = []
    for delivery in expiry.unclaimed(services.engine, to_rfc3339(now), until):
        days = reminder_due(from_rfc3339(str(delivery.published_at)), from_rfc3339(str(delivery.expires_at)), now)
        if days is not None and expiry.remind(services.ledger, delivery, days):
            last = dutch_date(from_rfc3339(str(delivery.expires_at)))
            lines.append(
                f"{delivery.short_name}: {delivery.recipient} has neither fetched nor confirmed it, and on {last} it "
                "is removed: tell them"
            )
    return lines


def reminder_due(published: datetime, expires: datetime, now: datetime) -> int | None:
    """The nearest of `REMIND_DAYS` that is reached; one that lay before the publication is none."""
    days = [each for each in REMIND_DAYS if published <= expires - timedelta(days=each) <= now < expires]
    return min(days, default=None)


def require_time_left(services: Services, name: str, expires: datetime) -> None:
    """`DeliveryStateError` if bytes with this end would be published after it: their signed manifest says so."""
    if services.clock() >= expires:
        raise DeliveryStateError(
            f"delivery {name} could be fetched until {to_rfc3339(expires)[:16]}Z, as its signed manifest says, and is "
            "not published after that: use mode correct, which makes a new edition"
        )


def _revoked(services: Services) -> set[str]:
    """Agreements under which nothing is kept for its recipient any more."""
    with reading(services.engine) as connection:
        return {each.id for each in store.list_agreements(connection, AgreementState.REVOKED)}


def _removed(services: Services, delivery: Delivery, revoked: Collection[str]) -> GlaError | bool:
    """True if it is gone, False if a worker holds it, or why it is not gone."""
    again = expiry.was_begun(services.engine, delivery)
    begun = expiry.begin(services.ledger, delivery.id, REVOKED if delivery.agreement_id in revoked else None)
    if begun is None:
        return False
    return _told(services, begun, lambda: _remove_everywhere(services, begun, may_be_gone=again))


def _remove_everywhere(services: Services, delivery: Delivery, *, may_be_gone: bool) -> dict[str, object]:
    with reading(services.engine) as connection:
        agreement: Agreement = unaltered(store.get(connection, delivery.agreement_id))
    folder = delivery_folder(delivery.agreement_id, delivery.period, delivery.edition)
    with services.open_destination(agreement) as transport:
        was_there = remove(transport, folder, MANIFEST_NAME)
    if not (was_there or may_be_gone):
        raise ReadBackMismatch(
            f"nothing of it is at the destination {agreement.destination}, where it was published: look whether that "
            "is the same place, and mounted; the next run takes it for removed"
        )
    staged = _discard(services.settings.staging_dir / delivery.id, keep=delivery.published_at is None)
    return {"destination": agreement.destination, "was_there": was_there, "was_staged": staged}


def _unstaged(services: Services, delivery: Delivery, folder: Path) -> GlaError | bool:
    def discard() -> dict[str, object]:
        if delivery.sealed is not None:  # it may have appeared, and its worker died before it could record that
            return _remove_everywhere(services, delivery, may_be_gone=True)
        return {"destination": None, "was_there": False, "was_staged": _discard(folder, keep=True)}

    outcome = _told(services, delivery, discard)
    if outcome is True:
        with suppress(OSError):  # the next run finds it, and tells nothing twice
            folder.rmdir()
    return outcome


def _told(services: Services, delivery: Delivery, work: Callable[[], dict[str, object]]) -> GlaError | bool:
    """Do it, and record what came of it. Without a ledger nothing goes on."""
    try:
        expiry.removed(services.ledger, delivery, work())
        return True
    except LedgerUnavailable:
        raise
    except GlaError as error:
        failure = error
    except Exception as error:  # noqa: BLE001 - of a library; one delivery must not hold up the others
        failure = unexpected(f"removing delivery {delivery.id}", error)
    expiry.not_removed(services.ledger, delivery, failure)
    return failure


def _only_staged(services: Services, revoked: Collection[str]) -> Iterator[tuple[Delivery, Path]]:
    """What is staged and was never published: sealed, until the end that its manifest has; else for as long after the
    last try as a delivery is kept. Under agreements that are `revoked` all of it.
    """
    now = services.clock()
    kept = timedelta(days=services.settings.delivery.retention_days)
    for folder in sorted(services.settings.staging_dir.glob("[0-9a-f]*")):
        with reading(services.engine) as connection:
            delivery = deliveries.find_by_id(connection, folder.name)
        if delivery is None or delivery.published_at is not None or delivery.is_held(to_rfc3339(now)):
            continue
        sealed = None if delivery.sealed is None else Sealed.from_json(delivery.sealed)
        end = from_rfc3339(delivery.updated_at) + kept if sealed is None else sealed.expires_at
        if end <= now or delivery.agreement_id in revoked:
            yield delivery, folder


def _discard(folder: Path, *, keep: bool) -> bool:
    """Remove what is staged for a delivery; False if there was nothing.

    `keep`: the folder itself stays until that is recorded. Of what was never published nothing else tells the next run.
    """
    if not folder.exists():
        return False
    with disk_errors():
        for attempt in list(folder.iterdir()):
            shutil.rmtree(attempt)
        if not keep:
            folder.rmdir()
    return True


def _note(done: Removed, delivery: Delivery, outcome: GlaError | bool) -> None:
    if outcome is True:
        done.gone.append(delivery.short_name)
    elif outcome is not False:
        done.problems.append(f"{delivery.short_name}: {outcome}")
        logger.warning("%s is not removed: %s", delivery.short_name, outcome)
