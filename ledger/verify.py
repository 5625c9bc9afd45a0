"""Is the ledger what it was? Builds the whole tree again, compares it with signed checkpoints and with the work list.

Finds an event that was changed, removed, inserted or reordered; with checkpoints also recomputed hashes and a cut-off
end, as far as the newest checkpoint; a body that was removed without an event that tells so; and a delivery whose row
tells something else than its events. It says where, raises `LedgerTampered` at the first finding, and repairs nothing.
Memory does not grow with the ledger.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from json import loads
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.exc import DBAPIError

from core.database import reading
from core.errors import LedgerTampered, UnusableInput
from ledger import deliveries, tables
from ledger.checkpoints import Checkpoint
from ledger.deliveries import Delivery
from ledger.leaves import FIELDS, NONCE_BYTES, leaf_of_json, row_json
from ledger.merkle import HASH_BYTES, joined
from ledger.removal import Kept
from ledger.tree import origin_of
from ledger.vocabulary import Action

_BATCH = 5_000  # events per fetch
_COLUMNS = ", ".join(f'"{name}"' for name in (*FIELDS, "nonce", "hashes", "removed_by"))
_AFTER = text(f"SELECT {_COLUMNS} FROM events WHERE seq > :seq ORDER BY seq LIMIT {_BATCH}")  # noqa: S608 - our names
_BEFORE_THE_FIRST = text("SELECT min(seq) FROM events")


@dataclass(frozen=True)
class Verified:
    """An intact ledger: so many events, of which `removed` lost their body by rule, and checkpoints witness those up to
    `witnessed` (0: none).
    """

    events: int
    deliveries: int
    checkpoints: int
    witnessed: int
    removed: int


def verify(engine: Engine, checkpoints: Iterable[Checkpoint]) -> Verified:
    """Check everything in one snapshot. `checkpoints` come from `read_checkpoints`, which verifies each."""
    with reading(engine) as connection, closing(_LastRows()) as rows:
        witnesses = _Witnesses(iter(checkpoints))
        walk = _Walk(witnesses, rows)
        walk.all(connection)
        count = _compare_work_list(connection, rows)
    return Verified(walk.seq, count, witnesses.count, witnesses.witnessed, walk.removed)


class _Witnesses:
    """The checkpoints, in the order in which they were made, each held against the tree when that has its size."""

    def __init__(self, checkpoints: Iterator[Checkpoint]) -> None:
        self._checkpoints = checkpoints
        self.count = self.witnessed = self.next_size = 0
        self._next: Checkpoint | None = None
        self._take()

    def _take(self) -> None:
        self._next = next(self._checkpoints, None)
        if self._next is None:
            self.next_size = -1
            return
        self.count += 1
        if self._next.size < self.next_size:
            raise LedgerTampered(f"checkpoint {self.count} is smaller than the one before it: lines were moved")
        self.next_size = self._next.size

    def judge(self, size: int, root: bytes, origin: str) -> None:
        """Hold those of this size against the tree."""
        while self._next is not None and self.next_size == size:
            if self._next.root != root or self._next.origin != origin:
                raise LedgerTampered(
                    f"an event from {self.witnessed + 1} to {size} was changed and the hashes computed again: "
                    f"the checkpoint of {self._next.at} tells otherwise"
                )
            self._take()
        self.witnessed = size

    def end(self, size: int) -> None:
        """After the last event: did a checkpoint see more of them?"""
        newest = self._next
        while self._next is not None:
            newest = self._next
            self._take()
        if newest is not None:
            raise LedgerTampered(
                f"the ledger ends at event {size}, but the checkpoint of {newest.at} saw event {newest.size}: "
                "its end was cut off"
            )


class _LastRows:
    """For each delivery the newest event that changed its row, and the digest of it; on disk when there are many."""

    _MOST = 10_000  # in memory

    def __init__(self) -> None:
        self._new: dict[str, tuple[int, str]] = {}
        self._all = sqlite3.connect("", isolation_level=None)  # a file of SQLite's own, gone when it is closed
        self._all.execute("PRAGMA journal_mode=OFF")
        self._all.execute("CREATE TABLE last (id TEXT PRIMARY KEY, seq INTEGER, digest TEXT) WITHOUT ROWID")

    def put(self, delivery_id: str, seq: int, digest: str) -> None:
        self._new[delivery_id] = (seq, digest)
        if len(self._new) >= self._MOST:
            self._keep()

    def _keep(self) -> None:
        rows = ((delivery_id, *row) for delivery_id, row in self._new.items())
        self._all.execute("BEGIN")
        self._all.executemany("INSERT OR REPLACE INTO last VALUES (?, ?, ?)", rows)
        self._all.execute("COMMIT")
        self._new.clear()

    def take(self, delivery_id: str) -> tuple[int, str] | None:
        """The event and the digest of one delivery, which is then left out of `left`."""
        self._keep()
        taken = self._all.execute("DELETE FROM last WHERE id = ? RETURNING seq, digest", (delivery_id,)).fetchone()
        return None if taken is None else (taken[0], taken[1])

    def left(self) -> int | None:
        """The event of a delivery that was not taken; None if all were."""
        self._keep()
        found = self._all.execute("SELECT min(seq) FROM last").fetchone()
        return None if found[0] is None else int(found[0])

    def close(self) -> None:
        self._all.close()


class _Walk:
    """Where the walk along the events is, and what it has learnt on the way."""

    def __init__(self, witnesses: _Witnesses, rows: _LastRows) -> None:
        self._witnesses, self._rows = witnesses, rows
        self.seq = self.removed = 0
        self._peaks: list[bytes] = []  # complete subtrees, largest first, as many as the number has bits
        self._origin = ""
        self._removals: dict[int, Kept] = {}  # event of removal -> what stays of the events that it removed

    def all(self, connection: Connection) -> None:
        """Judge every event; memory does not grow with their number."""
        for rows in _events(connection):
            for row in rows:
                self._follow(row)
        if self._removals:
            raise LedgerTampered(
                f"bodies of events were removed, and event {min(self._removals)}, which is to tell so, is missing"
            )
        self._witnesses.end(self.seq)

    def _follow(self, row: Sequence[Any]) -> None:
        """Judge one event as the successor of those before it."""
        action, _, _, _, delivery_id, detail, *_, row_digest, seq, nonce, hashes, removed_by = row
        if seq != self.seq + 1:
            if seq < 1:
                raise LedgerTampered(f"event {seq} was inserted: events count from 1")
            raise LedgerTampered(f"event {self.seq + 1} is missing: event {self.seq} is followed by event {seq}")
        leaf = _leaf(row, nonce) if removed_by is None else self._removed(row)
        self.seq = seq
        self._grow(leaf, hashes)
        if removed_by is None and detail[:1] != "{":
            raise LedgerTampered(f"event {seq} was changed: its details are not what we write")
        if action == Action.EVENTS_REMOVED or seq in self._removals:
            self._end_removal(action, detail)
        if row_digest is not None:
            if delivery_id is None:
                raise LedgerTampered(f"event {seq} was changed: it tells of a delivery that it does not name")
            self._rows.put(delivery_id, seq, row_digest)

    def _grow(self, leaf: bytes, hashes: bytes) -> None:
        """Put the leaf into the tree, and compare each subtree that it completes with the stored one."""
        seq, path, own, peaks = self.seq, [leaf], leaf, self._peaks
        while not seq & 1:
            own = sha256(b"\x01" + peaks.pop() + own).digest()
            path.append(own)
            seq >>= 1
        peaks.append(own)
        if hashes != (b"".join(path) if len(path) > 1 else leaf):
            if not isinstance(hashes, bytes) or hashes[:HASH_BYTES] != leaf:
                raise LedgerTampered(
                    f"event {self.seq} was changed: it does not have the hash that it was recorded with"
                )
            first = self.seq - (1 << len(path) - 1) + 1
            raise LedgerTampered(
                f"event {self.seq} does not continue what was before it: one of the events {first} to {self.seq} was "
                "changed, and its hash computed again"
            )
        if self.seq == 1:
            self._origin = origin_of(leaf)
        if self.seq == self._witnesses.next_size:
            self._witnesses.judge(self.seq, joined(peaks), self._origin)

    def _removed(self, row: Sequence[Any]) -> bytes:
        """The leaf of an event without its body, which a later event must tell of."""
        action, actor, agreement_id, at, delivery_id, detail, object_, once, origin, result, row_digest, seq, *rest = (
            row
        )
        nonce, hashes, removed_by = rest
        leaf = hashes[:HASH_BYTES] if isinstance(hashes, bytes) else b""
        empty = nonce is None and (actor, detail, object_, origin) == ("", "", "", "")
        if not (empty and isinstance(removed_by, int) and removed_by > seq):
            raise LedgerTampered(f"event {seq} was changed: it is marked as removed, and is not what a removal leaves")
        kept = self._removals.setdefault(removed_by, Kept())
        try:
            kept.add((seq, at, action, result, agreement_id, delivery_id, once, row_digest), leaf)
        except UnusableInput:
            leaf = b""
        if len(leaf) != HASH_BYTES:
            raise LedgerTampered(f"event {seq} was changed: a field holds what we never write")
        self.removed += 1
        return leaf

    def _end_removal(self, action: str, detail: str) -> None:
        """Is what this event says of a removal what was found?"""
        kept = self._removals.pop(self.seq, Kept())
        try:
            told = dict(loads(detail)) if action == Action.EVENTS_REMOVED else {}
        except (TypeError, ValueError):
            told = {}
        if {name: told.get(name) for name in ("events", "kept")} != kept.told():
            raise LedgerTampered(
                f"an event was changed that refers to event {self.seq} as its removal: the bodies of {kept.count} are "
                f"removed, and event {self.seq} tells otherwise"
            )


def _leaf(row: Sequence[Any], nonce: Any) -> bytes:
    """Made again from what the row says; empty, which is no hash, if a field holds what we never write."""
    try:
        if len(nonce) == NONCE_BYTES:
            return leaf_of_json(nonce, row_json(row))
    except (UnusableInput, TypeError):
        pass
    return b""


def _events(connection: Connection) -> Iterator[Sequence[Any]]:
    """All rows in the order of `seq`, in batches by key, in the columns of `_COLUMNS`."""
    if not inspect(connection).has_table(tables.events.name):
        return
    seq, unreadable = 0, None
    try:
        first = connection.execute(_BEFORE_THE_FIRST).scalar_one_or_none()
        seq = min(first or 0, 1) - 1
        while rows := connection.execute(_AFTER, {"seq": seq}).all():
            yield rows
            seq = rows[-1][FIELDS.index("seq")]
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        unreadable = type(error).__name__
    if unreadable is not None:
        raise LedgerTampered(f"what follows event {max(seq, 0)} cannot be read ({unreadable}): it was damaged")


def _compare_work_list(connection: Connection, rows: _LastRows) -> int:
    """Judge each row of the work list by the last event that changed it; returns how many there are."""
    count = 0
    for delivery in _deliveries(connection):
        count += 1
        seq, recorded = rows.take(delivery.id) or (None, None)
        if seq is None:
            raise LedgerTampered(f"{delivery.name} is in the work list, but no event made it: it was inserted")
        if _digest(delivery) != recorded:
            raise LedgerTampered(f"{delivery.name} was changed in the work list: it differs from event {seq}")
    missing = rows.left()
    if missing is not None:
        raise LedgerTampered(f"the delivery of event {missing} is missing in the work list: it was removed")
    return count


def _digest(delivery: Delivery) -> str | None:
    try:
        return delivery.history_digest()
    except UnusableInput:
        return None


def _deliveries(connection: Connection) -> Iterator[Delivery]:
    if not inspect(connection).has_table(tables.deliveries.name):
        return  # a table that was dropped as a whole is an empty one: events tell what it should hold
    try:
        yield from deliveries.all_by_id(connection)
        return
    except (DBAPIError, ValueError) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
    raise LedgerTampered("a row of the work list cannot be read: it was damaged")
