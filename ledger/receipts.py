"""Recipients' receipts: a positive one confirms a delivery, a negative one opens a case, which an operator closes.

A case is no table: it is the event of a negative receipt, open until an event with its number closes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from json import loads
from typing import Any

from sqlalchemy import Engine

from core.database import reading, writing
from core.errors import UnusableInput
from ledger import deliveries, events
from ledger.events import Event
from ledger.states import State, can_follow
from ledger.store import Ledger
from ledger.vocabulary import Action, Result


@dataclass(frozen=True)
class Signed:
    """The text of a receipt and its SSH signature, by the key with this fingerprint."""

    text: str
    signature: str
    signer: str


@dataclass(frozen=True)
class Receipt:
    """What a recipient says of a delivery that was published to it. `reason` is that of a negative one.

    `signed` is what its signer signed and can be held to, None if nobody did. `detail` tells how it came.
    """

    delivery_id: str
    reason: str | None
    signed: Signed | None
    actor: str
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """A negative receipt. `number` is that of its event; times are RFC 3339 text in UTC."""

    number: int
    delivery: str
    recipient: str
    reason: str
    signer: str | None
    opened: str
    closed: str | None = None
    closed_by: str | None = None
    outcome: str | None = None
    agreement_id: str | None = None
    delivery_id: str | None = None


def record_receipt(ledger: Ledger, receipt: Receipt) -> bool:
    """Record it, once for each publication, reason and signer, however it was written; False if that was done before.

    A delivery that is on offer becomes confirmed; in any other state the receipt is only told of.
    """
    with writing(ledger.engine) as connection:
        delivery = deliveries.find_by_id(connection, receipt.delivery_id)
        if delivery is None or delivery.published_at is None:
            raise UnusableInput("the receipt is for a delivery that was not published: nothing is recorded")
        signer = None if receipt.signed is None else receipt.signed.signer
        once = f"receipt {delivery.id} {delivery.published_at} {receipt.reason or 'accepted'} {signer or 'unsigned'}"
        if events.find_once(connection, once) is not None:
            return False
        detail = {**receipt.detail, "recipient": delivery.recipient, "signer": signer}
        if receipt.signed is not None:
            detail |= {"text": receipt.signed.text, "signature": receipt.signed.signature}
        if receipt.reason is None and can_follow(delivery.state, State.CONFIRMED):
            delivery = replace(delivery, state=State.CONFIRMED, updated_at=ledger.now())
            deliveries.save(connection, delivery, held_by=delivery.token)
        if receipt.reason is None:
            action, result = Action.DELIVERY_CONFIRMED, Result.OK
        else:
            action, result = Action.DELIVERY_REJECTED, Result.REFUSED
            detail["reason"] = receipt.reason
        ledger.tell(connection, delivery, action, result, receipt.actor, detail, once=once)
    return True


def signed_receipts(ledger: Ledger, delivery_id: str) -> list[tuple[str | None, Signed]]:
    """(reason, or None) and proof of every signed receipt for a delivery, oldest first."""
    found = []
    for event in ledger.events_of(delivery_id):
        if event.body.action in (Action.DELIVERY_CONFIRMED, Action.DELIVERY_REJECTED):
            detail = loads(event.body.detail)
            if detail.get("signer") is not None:
                proof = Signed(detail["text"], detail["signature"], detail["signer"])
                found.append((detail.get("reason"), proof))
    return found


def cases(engine: Engine, *, after: int = 0) -> list[Case]:
    """Every case, open ones too, oldest first; only those that were opened after event number `after`."""
    with reading(engine) as connection:
        found = events.of_actions(connection, Action.DELIVERY_REJECTED, Action.CASE_CLOSED, after=after)
    opened = {event.body.seq: _opened(event) for event in found if event.body.action == Action.DELIVERY_REJECTED}
    for event in found:
        if event.body.action == Action.CASE_CLOSED:
            case = opened.get(loads(event.body.detail)["case"])
            if case is not None:  # else it was opened before, or the body of its event was removed by rule
                opened[case.number] = _closed(case, event)
    return list(opened.values())


def close_case(ledger: Ledger, number: int, outcome: str, actor: str) -> Case:
    """Close it with what was done about it; `UnusableInput` if there is no such case, or it is closed."""
    if not outcome.strip():
        raise UnusableInput("say what was done about it: it is kept in the ledger")
    case = next((each for each in cases(ledger.engine) if each.number == number), None)
    if case is None or case.closed is not None:
        raise UnusableInput(f"there is no open case {number}: run gla receipt list")
    event = ledger.record(
        Action.CASE_CLOSED,
        f"case:{number}",
        Result.OK,
        actor,
        {"case": number, "outcome": outcome},
        case.agreement_id,
        case.delivery_id,
        once=f"case closed {number}",
    )
    return _closed(case, event)


def _opened(event: Event) -> Case:
    detail = loads(event.body.detail)
    return Case(
        event.body.seq,
        event.body.object.removeprefix(deliveries.OBJECT),
        detail["recipient"],
        detail["reason"],
        detail["signer"],
        event.body.at,
        agreement_id=event.body.agreement_id,
        delivery_id=event.body.delivery_id,
    )


def _closed(case: Case, event: Event) -> Case:
    """As the event that closed it tells."""
    outcome = loads(event.body.detail)["outcome"]
    return replace(case, closed=event.body.at, closed_by=event.body.actor, outcome=outcome)
