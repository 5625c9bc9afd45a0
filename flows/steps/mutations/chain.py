"""With which delivery a mutation delivery is compared: the last one that the recipient got, and no other.

Published mutation deliveries of an agreement are a chain: each says after which other one it comes. One that holds the
whole state comes after another too, but is compared with none. A correction takes the place of the delivery that it
supersedes, and is compared with what that one was compared with; so only the last one can be corrected. All of this is
asked of the ledger, so that a delivery which failed, was refused or died has no part in it. No clock decides anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from core.clock import to_rfc3339
from core.database import reading
from core.errors import DeliveryBusy, DeliveryStateError
from core.period import Period
from flows.steps.appeared import require_recorded
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


@dataclass(frozen=True)
class Place:
    """After which delivery (its id) a new one comes, what it is compared with, and whether the whole state is told
    because that was asked for: then, and for the first delivery, there is no `base`.
    """

    after: str | None
    base: Link | None
    whole: bool


def place_of(services: Services, delivery: Delivery, *, full: bool) -> Place:
    """Where a delivery that is to be made belongs. `DeliveryStateError` if it does not fit anywhere."""
    links = _links(services, delivery.agreement_id)
    last = _last(delivery.agreement_id, links, full=full)
    replaced = next((each for each in links if each.delivery.id == delivery.supersedes), None)
    if replaced is None:
        _require_forward(delivery, links)
        after, whole = None if last is None else last.delivery.id, full
    elif last is None or last.delivery.id != replaced.delivery.id:
        raise _followed(replaced.delivery, None if last is None else last.delivery)
    else:
        after, whole = replaced.kept.after, full or replaced.kept.whole
    base = next((each for each in links if each.delivery.id == after), None)
    return Place(after, None if whole else base, whole)


def require_last(services: Services, delivered: Delivery) -> None:
    """`DeliveryStateError` if another mutation delivery was built on this one, so that it cannot be corrected."""
    links = _links(services, delivered.agreement_id)
    if any(each.delivery.id == delivered.id for each in links):
        for each in links:
            if each.kept.after == delivered.id or _end(each.delivery) > _end(delivered):
                raise _followed(delivered, each.delivery)


def require_alone(services: Services, claim: Claim) -> None:
    """`DeliveryBusy` while another delivery of the agreement is worked on: both would come after the same one."""
    now = to_rfc3339(services.clock())
    for other in _all(services, claim.delivery.agreement_id):
        if other.id != claim.id and other.is_held(now):
            raise DeliveryBusy(f"{other.name} is worked on, and mutations come one after another: try again later")


def require_all_recorded(services: Services, agreement: Agreement, claim: Claim) -> None:
    """`DeliveryStateError` if another delivery appeared and its worker died before that was recorded: the recipient
    has it, so the next one must be compared with it.
    """
    others = (each for each in _all(services, agreement.id) if each.id != claim.id)
    require_recorded(services, agreement, others)


def check_place(services: Services, claim: Claim, sealed: Sealed) -> None:
    """Just before a mutation delivery appears: is it still to come after the one that it was compared with?

    What was published before may be published again. `DeliveryStateError` if another one appeared since.
    """
    if sealed.state is None or claim.delivery.published_at is not None:
        return
    require_alone(services, claim)
    kept = Kept.from_json(sealed.state)
    if not kept.whole and kept.after != place_of(services, claim.delivery, full=False).after:
        raise DeliveryStateError(
            f"{claim.delivery.name} was compared with another delivery than the last one by now: use mode correct"
        )


def forget_states(services: Services, agreement_id: str) -> None:
    """Remove every state that no delivery will be compared with: all but those of the last one and the one before."""
    folder = folder_of(services, agreement_id)
    if not folder.exists():
        return
    with suppress(OSError, DeliveryStateError):  # what stays is removed after the next delivery
        links = _links(services, agreement_id)
        last = _last(agreement_id, links, full=False)
        needed = {each.kept.file for each in links if last and each.delivery.id in (last.delivery.id, last.kept.after)}
        to_come = tuple(each.id for each in _all(services, agreement_id) if each.published_at is None)
        for path in folder.iterdir():
            if path.name not in needed and not path.name.startswith(to_come):
                path.unlink()


def _require_forward(delivery: Delivery, links: Sequence[Link]) -> None:
    latest = max((each.delivery for each in links), key=_end, default=None)
    if latest is not None and _end(delivery) < _end(latest):
        raise DeliveryStateError(
            f"{delivery.name} lies before {latest.name}, which was delivered already, and mutations go forward only: "
            "what is to be mended goes into a correction of that one"
        )


def _followed(delivery: Delivery, newer: Delivery | None) -> DeliveryStateError:
    return DeliveryStateError(
        f"{delivery.name} was followed by {'another' if newer is None else newer.name}, which tells what changed "
        "since: correct that one, whose mutations then hold what is to be mended"
    )


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


def _last(agreement_id: str, links: Sequence[Link], *, full: bool) -> Link | None:
    """The end of the chain. Where two come after the same one, the whole state counts, which takes the place of all;
    `DeliveryStateError` if neither is that, or, for a whole state that is to come (`full`), the last one before them.
    """
    last: Link | None = None
    while True:
        after = None if last is None else last.delivery.id
        following = [link for link in links if link.kept.after == after]
        whole = [link for link in following if link.kept.whole]
        if not following:
            return last
        if len(whole or following) == 1:
            last = (whole or following)[0]
        elif full:
            return last
        else:
            raise DeliveryStateError(
                f"agreement {agreement_id}: two deliveries tell what changed since the same one: deliver the whole "
                "state again with --full"
            )


def _end(delivery: Delivery) -> str:
    return Period.parse(delivery.period).end_exclusive.isoformat()
