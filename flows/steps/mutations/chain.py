"""With which delivery a mutation delivery is compared: the last one that the recipient got, and no other.

Published mutation deliveries of an agreement are a chain. Each says which delivery it comes after; one that comes after
none holds the whole state, and begins the chain anew. A correction takes the place of the delivery that it supersedes,
and is compared with what that one was compared with; so only the last one can be corrected. All of this is asked of the
ledger, so that a delivery which failed, was refused or died has no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from core.clock import to_rfc3339
from core.database import reading
from core.errors import DeliveryBusy, DeliveryStateError
from core.period import Period
from flows.steps.mutations.state import Kept, folder_of
from flows.steps.seal import Sealed
from flows.wiring import Services
from ledger import deliveries
from ledger.deliveries import Claim, Delivery
from ledger.states import State
from schemas.agreement import Agreement


@dataclass(frozen=True)
class Link:
    """A published mutation delivery, and the state that it left behind."""

    delivery: Delivery
    kept: Kept


def before(services: Services, delivery: Delivery) -> Link | None:
    """What this delivery is compared with; None if it is the first. `DeliveryStateError` if it does not fit there."""
    links = _links(services, delivery.agreement_id)
    last = _last(delivery.agreement_id, links)
    replaced = next((each for each in links if each.delivery.id == delivery.supersedes), None)
    if replaced is not None:
        if last is None or last.delivery.id != replaced.delivery.id:
            newer = "another" if last is None else last.delivery.name
            raise DeliveryStateError(
                f"{replaced.delivery.name} was followed by {newer}, which tells what changed since: correct that one, "
                "whose mutations then hold what is to be mended"
            )
        return next((each for each in links if each.delivery.id == replaced.kept.after), None)
    if last is not None and _end(delivery) < _end(last.delivery):
        raise DeliveryStateError(
            f"{delivery.name} lies before {last.delivery.name}, which was delivered already, and mutations go forward "
            "only: what is to be mended goes into a correction of that one"
        )
    return last


def require_alone(services: Services, claim: Claim) -> None:
    """`DeliveryBusy` while another delivery of the agreement is worked on: both would come after the same one."""
    now = to_rfc3339(services.clock())
    for other in _all(services, claim.delivery.agreement_id):
        if other.id != claim.id and other.is_held(now):
            raise DeliveryBusy(f"{other.name} is worked on, and mutations come one after another: try again later")


def check_place(services: Services, claim: Claim, sealed: Sealed) -> None:
    """Just before a mutation delivery appears: is it still to come after the one that it was compared with?

    What was published before may be published again. `DeliveryStateError` if another one appeared since.
    """
    if sealed.state is None or claim.delivery.published_at is not None:
        return
    require_alone(services, claim)
    kept = Kept.from_json(sealed.state)
    if kept.whole:
        return
    link = before(services, claim.delivery)
    if kept.after != (None if link is None else link.delivery.id):
        raise DeliveryStateError(
            f"{claim.delivery.name} was compared with another delivery than the last one by now: use mode correct"
        )


def forget_states(services: Services, agreement: Agreement) -> None:
    """Remove every state that no delivery will be compared with: all but those of the last one and the one before."""
    if agreement.mutations is None:
        return
    links = _links(services, agreement.id)
    last = _last(agreement.id, links)
    needed = {each.kept.file for each in links if last and each.delivery.id in (last.delivery.id, last.kept.after)}
    with suppress(OSError):  # what stays is removed after the next delivery
        for path in folder_of(services, agreement.id).iterdir():
            if path.name not in needed:
                path.unlink()


def _all(services: Services, agreement_id: str) -> list[Delivery]:
    with reading(services.engine) as connection:
        return deliveries.of_agreement(connection, agreement_id)


def _links(services: Services, agreement_id: str) -> list[Link]:
    links = []
    for each in _all(services, agreement_id):
        state = None if each.sealed is None else Sealed.from_json(each.sealed).state
        if state is not None and each.published_at is not None and each.state is not State.SUPERSEDED:
            links.append(Link(each, Kept.from_json(state)))
    return links


def _last(agreement_id: str, links: Sequence[Link]) -> Link | None:
    """The end of the newest chain."""
    first = [link for link in links if link.kept.after is None]
    if not first:
        return None
    last = max(first, key=lambda link: (link.delivery.created_at, link.delivery.id))
    while following := [link for link in links if link.kept.after == last.delivery.id]:
        if len(following) > 1:
            raise DeliveryStateError(
                f"agreement {agreement_id}: two deliveries tell what changed since {last.delivery.name}: deliver the "
                "whole state again with --full"
            )
        last = following[0]
    return last


def _end(delivery: Delivery) -> str:
    return Period.parse(delivery.period).end_exclusive.isoformat()
