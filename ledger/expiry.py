"""Deliveries whose time is over: which are to be removed, the intent before and the outcome after.

What is published has an end (`expires_at`, as the signed manifest says), or is over since its agreement was revoked.
Removing is done again until an event tells that it is gone, so a crash at any point leaves work and no doubt.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine, exists, literal, select

from core.database import reading, writing
from core.errors import GlaError
from ledger import deliveries, events, tables
from ledger.deliveries import Delivery
from ledger.states import State, can_follow
from ledger.store import Ledger
from ledger.vocabulary import Action, Result

_ACTOR = "retention"


def expired(engine: Engine, now: str, revoked: Collection[str] = ()) -> list[Delivery]:
    """What was published, is over and was not yet removed since; oldest first. Of agreements that are `revoked` all."""
    table = tables.deliveries.c
    gone = exists().where(tables.events.c.once == literal("removed ") + table.id + " " + table.published_at)
    over = ((table.expires_at <= now) | table.agreement_id.in_(revoked)) & table.published_at.is_not(None)
    with reading(engine) as connection:
        return deliveries.chosen(connection, select(tables.deliveries).where(over, ~gone).order_by(table.expires_at))


def unclaimed(engine: Engine, now: str, until: str) -> list[Delivery]:
    """What is on offer until `until` at most and nobody has fetched or confirmed."""
    table = tables.deliveries.c
    waiting = (table.state == State.PUBLISHED.value) & table.picked_up_at.is_(None)
    soon = (table.expires_at > now) & (table.expires_at <= until)
    with reading(engine) as connection:
        return deliveries.chosen(connection, select(tables.deliveries).where(waiting, soon).order_by(table.expires_at))


def begin(ledger: Ledger, delivery_id: str, reason: str | None = None) -> Delivery | None:
    """Record that it is being removed; None if a worker is at it, who finds for itself that it is over.

    One that was superseded keeps that state, in which nothing is on offer either. `reason`: why before its end.
    """
    with writing(ledger.engine) as connection:
        delivery = deliveries.find_by_id(connection, delivery_id)
        if delivery is None or delivery.is_held(ledger.now()):
            return None
        if delivery.state is State.EXPIRED:  # a try before this one came so far
            return delivery
        if can_follow(delivery.state, State.EXPIRED):
            why = reason or delivery.reason
            delivery = replace(delivery, state=State.EXPIRED, reason=why, updated_at=ledger.now())
            deliveries.save(connection, delivery, held_by=delivery.token)
        once = _begun(delivery)
        told = {"expires_at": delivery.expires_at, "reason": reason}
        ledger.tell(connection, delivery, Action.DELIVERY_EXPIRED, Result.INTENDED, _ACTOR, told, once=once)
    return delivery


def was_begun(engine: Engine, delivery: Delivery) -> bool:
    """Whether a run before this one recorded that it is being removed: it may be gone since."""
    with reading(engine) as connection:
        return events.find_once(connection, _begun(delivery)) is not None


def removed(ledger: Ledger, delivery: Delivery, detail: Mapping[str, Any]) -> None:
    """Record that it is gone."""
    once = f"removed {delivery.id} {delivery.published_at}"
    _record(ledger, delivery, Result.OK, detail, once)


def not_removed(ledger: Ledger, delivery: Delivery, error: GlaError) -> None:
    """Record why it is not gone, once a day and reason: it is tried again."""
    once = f"not removed {delivery.id} {error.code} {ledger.now()[:10]}"
    _record(ledger, delivery, Result.FAILED, {"error": error.code, "message": str(error)}, once)


def remind(ledger: Ledger, delivery: Delivery, days: int) -> bool:
    """Record that nobody fetched it and it is soon over; False if that was told before."""
    once = f"expiring {delivery.id} {delivery.expires_at} {days}"
    with writing(ledger.engine) as connection:
        if events.find_once(connection, once) is not None:
            return False
        ledger.record(
            Action.DELIVERY_EXPIRING, delivery.name, Result.OK, _ACTOR,
            {"expires_at": delivery.expires_at, "days": days, "recipient": delivery.recipient},
            delivery.agreement_id, delivery.id, once=once, connection=connection,
        )  # fmt: skip
    return True


def _begun(delivery: Delivery) -> str:
    return f"expired {delivery.id} {delivery.published_at}"


def _record(ledger: Ledger, delivery: Delivery, result: Result, detail: Mapping[str, Any], once: str) -> None:
    ledger.record(
        Action.DELIVERY_REMOVED, delivery.name, result, _ACTOR, detail, delivery.agreement_id, delivery.id, once=once
    )
