"""Who may work on a delivery now, and where the work begins. No I/O: `store` reads, asks here, and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.clock import to_rfc3339
from core.errors import DeliveryBusy, DeliveryStateError, GlaError
from core.ids import new_id
from ledger.deliveries import ClaimRequest, Delivery, lease_end
from ledger.states import STOPPED, UNFINISHED, State, restart_state
from ledger.vocabulary import Action


@dataclass(frozen=True)
class Decision:
    """What becomes of a claim: the delivery as it will be, or, with a refusal, as it stays."""

    delivery: Delivery
    action: Action | None  # None: nothing that history must know
    held_by: int | None  # the token of the row that is there now; None: there is no row yet
    refusal: GlaError | None = None


def decide(request: ClaimRequest, editions: Sequence[Delivery], now: datetime) -> Decision:
    """Judge a claim. `editions` are all deliveries of the same agreement and period, newest first."""
    for delivery in editions:
        if delivery.is_held(to_rfc3339(now)):
            return _busy(delivery)
    for delivery in editions:
        if delivery.edition == request.edition:
            return _existing(request, delivery, editions, now)
    return _new(request, editions, now)


def may_be_worked_on(delivery: Delivery, editions: Sequence[Delivery]) -> bool:
    """Whether an edition is the newest; or the newest that was published, while all after it are stopped."""
    newer = [each for each in editions if each.edition > delivery.edition]
    stopped = all(each.state in STOPPED and each.published_at is None for each in newer)
    return not newer or (delivery.published_at is not None and stopped)


def _new(request: ClaimRequest, editions: Sequence[Delivery], now: datetime) -> Decision:
    published = (delivery.id for delivery in editions if delivery.published_at is not None)
    delivery = Delivery(
        id=new_id(),
        agreement_id=request.agreement_id,
        agreement_digest=request.agreement_digest,
        recipient=request.recipient,
        product=request.product,
        period=str(request.period),
        edition=request.edition,
        state=State.PLANNED,
        token=1,
        actor=request.actor,
        created_at=to_rfc3339(now),
        updated_at=to_rfc3339(now),
        worker=request.worker,
        lease_until=lease_end(now, request.lease_seconds),
        reason=request.reason,
        supersedes=next(published, None),
    )
    newest = editions[0] if editions else None
    refusal = None
    if request.edition != (1 if newest is None else newest.edition + 1):
        refusal = f"{delivery.name} cannot be made: editions count up from 1 without gaps"
    elif newest is not None and newest.state in UNFINISHED:
        refusal = f"{newest.name} is not finished: resume it before a new edition is made"
    if refusal is not None:
        return Decision(delivery, Action.DELIVERY_REFUSED, None, DeliveryStateError(refusal))
    return Decision(delivery, Action.DELIVERY_PLANNED, None)


def _existing(request: ClaimRequest, delivery: Delivery, editions: Sequence[Delivery], now: datetime) -> Decision:
    if not may_be_worked_on(delivery, editions):
        newer = DeliveryStateError(f"{delivery.name} has a newer edition, {editions[0].edition}: work on that one")
        return Decision(delivery, Action.DELIVERY_REFUSED, delivery.token, newer)
    claimed = replace(
        delivery,
        token=delivery.token + 1,
        worker=request.worker,
        lease_until=lease_end(now, request.lease_seconds),
        updated_at=to_rfc3339(now),
    )
    if delivery.state not in UNFINISHED | STOPPED:
        return Decision(claimed, None, delivery.token)
    if delivery.sealed is not None and delivery.agreement_digest != request.agreement_digest:
        other = DeliveryStateError(f"{delivery.name} was sealed under another text of the agreement: use 'correct'")
        return Decision(delivery, Action.DELIVERY_REFUSED, delivery.token, other)
    action = Action.DELIVERY_RESUMED if delivery.worker is None else Action.DELIVERY_TAKEN_OVER
    return Decision(_restarted(claimed, request), action, delivery.token)


def _busy(delivery: Delivery) -> Decision:
    busy = DeliveryBusy(f"{delivery.name} is being worked on by another worker")
    return Decision(delivery, Action.DELIVERY_BUSY, delivery.token, busy)


def _restarted(delivery: Delivery, request: ClaimRequest) -> Delivery:
    return replace(
        delivery,
        state=restart_state(delivery.state, has_sealed_bytes=delivery.sealed is not None),
        agreement_digest=request.agreement_digest,
        error=None,
        actor=request.actor,
        reason=request.reason or delivery.reason,
    )
