"""Append one event to the tree, and read events back. Nothing here changes or removes an event.

`append` needs a connection from `core.database.writing`: only the single writer knows the end. Readers get events with
their bodies; what was removed by rule is passed over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, desc, insert, select

from core.canonical import canonical_json
from ledger.leaves import EventBody, leaf_of, new_nonce
from ledger.merkle import HASH_BYTES, completed, node_hash
from ledger.tables import events
from ledger.vocabulary import Action, Result

_LAST = select(events.c.seq, events.c.hashes).order_by(desc(events.c.seq)).limit(1)
_INSERT = insert(events)
_WHOLE = events.c.removed_by.is_(None)
_BATCH = 5_000  # events per fetch: bounded memory however long the ledger is


@dataclass(frozen=True)
class Event:
    """One event of the ledger as it was stored. `hashes`: its leaf, and the subtrees that it completed, as bytes.

    Of one that was removed by rule the body is empty and there is no nonce; `removed_by` is the event that tells so.
    """

    body: EventBody
    nonce: bytes | None
    hashes: bytes
    removed_by: int | None = None

    @property
    def leaf(self) -> bytes:
        return self.hashes[:HASH_BYTES]


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
    row_digest: str | None = None,
) -> Event:
    """Put an event at the end. Where one with the same `once` exists, return that one and add nothing.

    Reads as many earlier events as there are subtrees to complete: the logarithm of their number at most.
    """
    if once is not None and (known := find_once(connection, once)) is not None:
        return known
    last = connection.execute(_LAST).first()
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
        row_digest=row_digest,
        detail=canonical_json(dict(detail)).decode(),
    )
    nonce = new_nonce()
    before = {} if last is None else {int(last.seq): bytes(last.hashes)}
    event = Event(body, nonce, _hashes(connection, body.seq, leaf_of(nonce, body), before))
    connection.execute(_INSERT, {**vars(body), "nonce": nonce, "hashes": event.hashes})
    return event


def _hashes(connection: Connection, seq: int, leaf: bytes, before: dict[int, bytes]) -> bytes:
    """The leaf, and each subtree that it completes: joined with the one as large that ends before it."""
    ends = [seq - (1 << level) for level in range(completed(seq))]
    if not set(ends) <= before.keys():
        wanted = select(events.c.seq, events.c.hashes).where(events.c.seq.in_(ends))
        before = {row.seq: bytes(row.hashes) for row in connection.execute(wanted)}
    hashes = [leaf]
    for level, end in enumerate(ends):
        left = before[end][level * HASH_BYTES : (level + 1) * HASH_BYTES]
        hashes.append(node_hash(left, hashes[-1]))
    return b"".join(hashes)


def find_once(connection: Connection, once: str) -> Event | None:
    """The event that was recorded under this key, if there is one; its body may have been removed since."""
    row = connection.execute(select(events).where(events.c.once == once)).first()
    return None if row is None else _event(row)


def which_once(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of the keys under which an event was recorded."""
    if not keys:
        return set()
    return set(connection.execute(select(events.c.once).where(events.c.once.in_(keys))).scalars())


def of_delivery(connection: Connection, delivery_id: str) -> list[Event]:
    """What happened to one delivery, oldest first."""
    wanted = (events.c.delivery_id == delivery_id) & _WHOLE
    return [_event(row) for row in connection.execute(select(events).where(wanted).order_by(events.c.seq))]


def has_any(connection: Connection, delivery_id: str) -> bool:
    """Whether the ledger still tells anything of a delivery."""
    wanted = (events.c.delivery_id == delivery_id) & _WHOLE
    return connection.execute(select(events.c.seq).where(wanted).limit(1)).first() is not None


def of_agreement(connection: Connection, agreement_id: str, action: Action) -> list[Event]:
    """What of one kind happened to one agreement, oldest first."""
    wanted = (events.c.agreement_id == agreement_id) & (events.c.action == action.value) & _WHOLE
    return [_event(row) for row in connection.execute(select(events).where(wanted).order_by(events.c.seq))]


def of_actions(connection: Connection, *actions: Action, after: int = 0) -> list[Event]:
    """Everything of these kinds that comes after event number `after`, oldest first. For kinds that are rare."""
    wanted = events.c.action.in_([action.value for action in actions]) & (events.c.seq > after) & _WHOLE
    return [_event(row) for row in connection.execute(select(events).where(wanted).order_by(events.c.seq))]


def of_deliveries(connection: Connection, delivery_ids: Collection[str]) -> Iterator[Event]:
    """What happened to some deliveries, oldest first. Not by kind: SQLite would then look at all of a kind."""
    wanted = events.c.delivery_id.in_(delivery_ids)
    for row in connection.execute(select(events).where(wanted & _WHOLE).order_by(events.c.seq)):
        yield _event(row)


def in_order(connection: Connection) -> Iterator[Event]:
    """Every event by sequence number, also those whose body was removed.

    Fetched in batches by key, so that a reader may stop anywhere.
    """
    statement = select(events).order_by(events.c.seq).limit(_BATCH)
    rows = connection.execute(statement).all()
    while rows:
        yield from map(_event, rows)
        rows = connection.execute(statement.where(events.c.seq > rows[-1].seq)).all()


def _event(row: Row[Any]) -> Event:
    fields = dict(row._mapping)  # noqa: SLF001 - the public name of SQLAlchemy for a row as a mapping
    nonce, hashes, removed_by = (fields.pop(name) for name in ("nonce", "hashes", "removed_by"))
    return Event(EventBody(**fields), nonce, hashes, removed_by)
