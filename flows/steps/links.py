"""Links with which a recipient fetches a delivery from a bucket, without an account there.

Who has a link has the ciphertext of that file until the link ends; to open it takes the recipient's key. None outlives
the delivery, and none is made for a delivery that has not appeared, or under an agreement that is not in force.
"""

from __future__ import annotations

from datetime import timedelta

from core.clock import from_rfc3339
from core.errors import DeliveryStateError, UnusableInput
from core.period import Period
from flows.steps.agree import agree
from flows.steps.order import delivery_folder
from flows.wiring import Services
from schemas.manifest import MANIFEST_NAME
from transports.publishing import has_appeared
from transports.registry import DROPZONE

LONGEST_HOURS = 7 * 24  # S3's own limit


def links(
    services: Services, agreement_id: str, period: Period, edition: int | None, hours: int
) -> list[tuple[str, str]]:
    """(name, URL) of every file of an edition, by default of the newest that was published; `DeliveryStateError` if
    there is none now.
    """
    agreement = agree(services, agreement_id)
    published = services.ledger.newest_published(agreement_id, period)
    edition = edition or (1 if published is None else published.edition)
    delivery = services.ledger.get(agreement_id, period, edition)
    name = f"delivery {agreement_id}/{period} edition {edition}"
    if delivery is None or delivery.published_at is None or delivery.expires_at is None:
        raise DeliveryStateError(f"{name} has not been delivered: run gla deliver")
    left = from_rfc3339(delivery.expires_at) - services.clock()
    seconds = int(min(left, timedelta(hours=min(hours, LONGEST_HOURS))).total_seconds())
    if seconds <= 0:
        raise DeliveryStateError(f"{name} has expired: use mode correct")
    if agreement.destination == DROPZONE:
        raise UnusableInput(f"{agreement.id} is delivered to our own drop zone: its recipient logs in there")
    folder = delivery_folder(agreement_id, str(period), edition)
    connect_seconds = services.settings.delivery.connect_seconds
    with services.destinations.open_bucket(agreement.destination, connect_seconds) as bucket:
        if not has_appeared(bucket, folder, MANIFEST_NAME):
            raise DeliveryStateError(f"{name} is not at its destination: use mode redeliver")
        return [(each, bucket.link(f"{folder}/{each}", seconds)) for each in bucket.list(folder)]
