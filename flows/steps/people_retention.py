"""Who was in a delivery is forgotten when nobody may need to know any more (GDPR, article 5(1)(e)); recorded first.

The time counts from the publication (`GLA_DELIVERY__PEOPLE_RETENTION_DAYS`), and is longer than that of the delivery's
bytes: people may ask for years to whom their data went. A set of a delivery that never appeared goes as soon as its
staged bytes are gone; of one that may have, without being recorded, it stays as long as if it was published.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from core.clock import to_rfc3339
from core.database import reading
from flows.steps.appeared import may_have_appeared
from flows.steps.people import attempts, forgotten_once, token_of
from flows.steps.seal import Sealed
from flows.steps.staging import disk_errors
from flows.wiring import Services
from ledger import deliveries
from ledger.deliveries import Delivery
from ledger.vocabulary import Action, Result

_ACTOR = "retention"


def forget_people(services: Services) -> int:
    """Remove every set whose time is over, and what attempts left that came to nothing; returns how many sets went."""
    return sum(_forget(services, path) for path in attempts(services))


def _forget(services: Services, path: Path) -> bool:
    now = services.clock()
    with reading(services.engine) as connection:
        delivery = deliveries.find_by_id(connection, path.stem.rpartition("-")[0])
        unrecorded = delivery is not None and may_have_appeared(connection, delivery)
    if delivery is None or delivery.is_held(to_rfc3339(now)):
        return False
    sealed = None if delivery.sealed is None else Sealed.from_json(delivery.sealed)
    is_the_one = sealed is not None and sealed.token == token_of(path)
    if is_the_one and (unrecorded or delivery.published_at is not None):
        end = to_rfc3339(now - timedelta(days=services.settings.delivery.people_retention_days))
        if (delivery.published_at or delivery.updated_at) > end:
            return False
        _tell(services, delivery, sealed)
    elif (services.settings.staging_dir / delivery.id).exists():
        return False  # it may still be published, or sealed by the next attempt
    with disk_errors():
        path.unlink(missing_ok=True)
    return is_the_one


def _tell(services: Services, delivery: Delivery, sealed: Sealed | None) -> None:
    people = None if sealed is None or sealed.people is None else sealed.people["people"]
    services.ledger.record(
        Action.PEOPLE_FORGOTTEN,
        delivery.name,
        Result.OK,
        _ACTOR,
        {"people": people},
        delivery.agreement_id,
        delivery.id,
        once=forgotten_once(delivery),
    )
