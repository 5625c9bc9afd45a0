"""Retention of events: after a term the names and details of an event go, and an event of removal tells so.

Who did it, from where, on what and with which details are emptied, and the nonce goes, so that nobody can try out what
they were. The hashes stay, so every proof and checkpoint holds; what the work list and the programs need stays too,
and the event of removal has the digest of that, for each event in turn. Events about agreements, keys, participants and
settings stay as they are: they are needed to judge what is delivered later.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, bindparam, func, or_, select, update

from core.database import writing
from ledger.leaves import plain_json
from ledger.merkle import HASH_BYTES
from ledger.states import UNFINISHED
from ledger.store import Ledger
from ledger.tables import deliveries, events
from ledger.vocabulary import Action, Result

_ACTOR = "retention"
_AT_ONCE = 5_000  # events of one removal: a transaction of a second at most
_LOOSE = (Action.DELIVERY_READ, Action.DELIVERY_REFUSED, Action.RECEIPT_REFUSED)  # where no delivery is known
_STAYS = ("seq", "at", "action", "result", "agreement_id", "delivery_id", "once", "row_digest")
_EMPTY = {"object": "", "origin": "", "actor": "", "detail": "", "nonce": None}


class Kept:
    """The digest of what stays of removed events, which are told in the order of their numbers."""

    def __init__(self) -> None:
        self.count = 0
        self._digest = sha256()

    def add(self, stays: Sequence[Any], leaf: bytes) -> None:
        """`stays` are the values of `seq` to `row_digest`; `UnusableInput` if one has no JSON form."""
        self.count += 1
        self._digest.update(plain_json([*stays, leaf.hex()]) + b"\n")

    def told(self) -> dict[str, Any]:
        """What the event of removal says."""
        return {"events": self.count, "kept": self._digest.hexdigest()}


def remove_bodies(ledger: Ledger, before: str) -> int:
    """Remove what is about deliveries that were last worked on before `before` (RFC 3339), and ended; returns how many
    events. A delivery that can still be fetched, or taken up again, keeps all of its events.
    """
    count, after = 0, 0
    while True:
        removed, after = _remove_some(ledger, before, after)
        if not removed:
            return count
        count += removed


def _remove_some(ledger: Ledger, before: str, after: int) -> tuple[int, int]:
    """Of the events that follow event `after`; returns how many were removed, and the last of them."""
    with writing(ledger.engine) as connection:
        rows = _due(connection, before, ledger.now(), after)
        if not rows:
            return 0, after
        kept = Kept()
        for *stays, hashes in rows:
            kept.add(stays, bytes(hashes)[:HASH_BYTES])
        told = {"before": before, **kept.told()}
        name = f"events:{rows[0].seq}-{rows[-1].seq}"
        event = ledger.record(Action.EVENTS_REMOVED, name, Result.OK, _ACTOR, told, connection=connection)
        emptied = update(events).where(events.c.seq == bindparam("number"))
        emptied = emptied.values(**_EMPTY, removed_by=event.body.seq)
        connection.execute(emptied, [{"number": row.seq} for row in rows])
        return len(rows), rows[-1].seq


def _due(connection: Connection, before: str, now: str, after: int) -> Sequence[Any]:
    work = deliveries.c
    ended = work.state.not_in([state.value for state in UNFINISHED]) & (work.updated_at < before)
    gone = or_(work.expires_at.is_(None), work.expires_at < now)
    of_ended = events.c.delivery_id.in_(select(work.id).where(ended & gone))
    loose = events.c.delivery_id.is_(None) & events.c.action.in_([action.value for action in _LOOSE])
    old = (events.c.seq > after) & (events.c.seq <= _last_before(connection, before)) & (events.c.at < before)
    due = old & events.c.removed_by.is_(None) & or_(of_ended, loose)
    columns = [events.c[name] for name in _STAYS]
    return connection.execute(select(*columns, events.c.hashes).where(due).order_by(events.c.seq).limit(_AT_ONCE)).all()


def _last_before(connection: Connection, before: str) -> int:
    """About the last event before a time, by halving: what is younger need not be looked at."""
    low, high = 0, int(connection.execute(select(func.max(events.c.seq))).scalar_one_or_none() or 0)
    while low < high:
        middle = (low + high + 1) // 2
        at = connection.execute(select(events.c.at).where(events.c.seq == middle)).scalar_one_or_none()
        low, high = (middle, high) if at is not None and at < before else (low, middle - 1)
    return low
