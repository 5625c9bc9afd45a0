"""Append one event to the chain, and read events back. Nothing here changes or removes an event.

`append` needs a connection from `core.database.writing`: only the single writer knows the end of the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, desc, insert, select

from core.canonical import canonical_json
from ledger.chain import GENESIS, EventBody, event_hash
from ledger.tables import events
from ledger.vocabulary import Action, Result

LAST = select(events.c.seq, events.c.hash).order_by(desc(events.c.seq)).limit(1)
_INSERT = insert(events)
_BATCH = 5_000  # events per fetch: bounded memory however long the ledger is


@dataclass(frozen=True)
class Event:
    """One event of the ledger as it was stored."""

    body: EventBody
    previous: str
    hash: str


def append(
    connection: Connection,
    *,
    at: str,
    action: Action,
    object: str,  # noqa: A002 - BIO2's word
    result: Result,
    origin: str,
    actor: str,
    detail: Mapping[str, Any],
    agreement_id: str | None = None,
    delivery_id: str | None = None,
    once: str | None = None,
) -> Event:
    """Put an event at the end of the chain. Where one with the same `once` exists, return that one and add nothing."""
    if once is not None and (known := find_once(connection, once)) is not None:
        return known
    last = connection.execute(LAST).first()
    previous = GENESIS if last is None else str(last.hash)
    body = EventBody(
        seq=1 if last is None else last.seq + 1,
        at=at,
        action=action.value,
        object=object,
        result=result.value,
        origin=origin,
        actor=actor,
        agreement_id=agreement_id,
        delivery_id=delivery_id,
        once=once,
        detail=canonical_json(dict(detail)).decode(),
    )
    event = Event(body, previous, event_hash(previous, body))
    connection.execute(_INSERT, {**vars(body), "previous": previous, "hash": event.hash})
    return event


def find_once(connection: Connection, once: str) -> Event | None:
    """The event that was recorded under this key, if there is one."""
    row = connection.execute(select(events).where(events.c.once == once)).first()
    return None if row is None else _event(row)


def of_delivery(connection: Connection, delivery_id: str) -> list[Event]:
    """What happened to one delivery, oldest first."""
    rows = connection.execute(select(events).where(events.c.delivery_id == delivery_id).order_by(events.c.seq))
    return [_event(row) for row in rows]


def of_agreement(connection: Connection, agreement_id: str, action: Action) -> list[Event]:
    """What of one kind happened to one agreement, oldest first."""
    wanted = (events.c.agreement_id == agreement_id) & (events.c.action == action.value)
    return [_event(row) for row in connection.execute(select(events).where(wanted).order_by(events.c.seq))]


def of_actions(connection: Connection, *actions: Action) -> list[Event]:
    """Everything of these kinds, oldest first. For kinds that are rare."""
    wanted = events.c.action.in_([action.value for action in actions])
    return [_event(row) for row in connection.execute(select(events).where(wanted).order_by(events.c.seq))]


def of_deliveries(connection: Connection, actions: Iterable[Action], chosen: Select[Any]) -> Iterator[Event]:
    """What of these kinds happened to the deliveries whose ids `chosen` selects, oldest first."""
    wanted = events.c.action.in_([action.value for action in actions]) & events.c.delivery_id.in_(chosen)
    for row in connection.execute(select(events).where(wanted).order_by(events.c.seq)):
        yield _event(row)


def in_order(connection: Connection) -> Iterator[Event]:
    """Every event by sequence number. Fetched in batches by key, so that a reader may stop anywhere."""
    statement = select(events).order_by(events.c.seq).limit(_BATCH)
    rows = connection.execute(statement).all()
    while rows:
        yield from map(_event, rows)
        rows = connection.execute(statement.where(events.c.seq > rows[-1].seq)).all()


def _event(row: Row[Any]) -> Event:
    fields = dict(row._mapping)  # noqa: SLF001 - the public name of SQLAlchemy for a row as a mapping
    previous, own = fields.pop("previous"), fields.pop("hash")
    return Event(EventBody(**fields), previous, own)
