"""Is the ledger what it was? Walks the whole chain, compares it with signed checkpoints and with the work list.

Finds an event that was changed, removed, inserted or reordered; with checkpoints also a recomputed chain and a cut-off
end, as far as the newest checkpoint; and a delivery whose row tells something else than its events. It says where,
raises `LedgerTampered` at the first finding, and repairs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from json import loads

from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from core.database import reading
from core.errors import LedgerTampered, UnusableInput
from ledger import deliveries, events, tables
from ledger.chain import GENESIS, event_hash
from ledger.checkpoints import Checkpoint
from ledger.deliveries import ROW_DIGEST, Delivery
from ledger.events import Event


@dataclass(frozen=True)
class Verified:
    """An intact ledger: so many events, of which checkpoints witness those up to `witnessed` (0: none)."""

    events: int
    deliveries: int
    checkpoints: int
    witnessed: int


def verify(engine: Engine, checkpoints: Sequence[Checkpoint]) -> Verified:
    """Check everything in one snapshot. `checkpoints` come from `read_checkpoints`, which has verified them."""
    with reading(engine) as connection:
        walk = _Walk(checkpoints)
        for event in _events(connection):
            walk.follow(event)
        walk.end()
        count = 0
        for delivery in _deliveries(connection):
            walk.compare(delivery)
            count += 1
        walk.end_of_work_list()
    return Verified(walk.seq, count, len(checkpoints), walk.witnessed)


@dataclass
class _Walk:
    """Where the walk along the chain is, and what it has learnt on the way."""

    checkpoints: Sequence[Checkpoint]
    seq: int = 0
    hash: str = GENESIS
    witnessed: int = 0
    recorded: dict[str, tuple[int, str]] = field(default_factory=dict)  # delivery id -> event, digest of its row

    def __post_init__(self) -> None:
        self._witnesses: dict[int, list[Checkpoint]] = {}
        for checkpoint in self.checkpoints:
            self._witnesses.setdefault(checkpoint.seq, []).append(checkpoint)

    def follow(self, event: Event) -> None:
        """Judge one event as the successor of those before it."""
        seq = event.body.seq
        if seq < 1:
            raise LedgerTampered(f"event {seq} was inserted: events count from 1")
        if seq > self.seq + 1:
            raise LedgerTampered(f"event {self.seq + 1} is missing: event {self.seq} is followed by event {seq}")
        if _recomputed(event) != event.hash:
            raise LedgerTampered(f"event {seq} was changed: it does not have the hash that it was recorded with")
        if event.previous != self.hash:
            raise LedgerTampered(f"event {seq} does not continue event {seq - 1}: one of them was replaced")
        self.seq, self.hash = seq, event.hash
        self._witness()
        self._learn(event)

    def _witness(self) -> None:
        for checkpoint in self._witnesses.get(self.seq, ()):
            if checkpoint.hash != self.hash:
                raise LedgerTampered(
                    f"an event from {self.witnessed + 1} to {self.seq} was changed and the hashes computed again: "
                    f"the checkpoint of {checkpoint.at} tells otherwise"
                )
            self.witnessed = self.seq

    def _learn(self, event: Event) -> None:
        if event.body.delivery_id is None:
            return
        try:
            detail = loads(event.body.detail)
        except (TypeError, ValueError):
            detail = None
        if not isinstance(detail, dict):
            raise LedgerTampered(f"event {self.seq} was changed: its details are not what we write")
        if ROW_DIGEST in detail:
            self.recorded[event.body.delivery_id] = (self.seq, detail[ROW_DIGEST])

    def end(self) -> None:
        """After the last event: did a checkpoint see more of them?"""
        for checkpoint in self.checkpoints:
            if checkpoint.seq > self.seq:
                raise LedgerTampered(
                    f"the ledger ends at event {self.seq}, but the checkpoint of {checkpoint.at} saw event "
                    f"{checkpoint.seq}: its end was cut off"
                )

    def compare(self, delivery: Delivery) -> None:
        """Judge one row of the work list by the last event that changed it."""
        seq, recorded = self.recorded.pop(delivery.id, (None, None))
        if seq is None:
            raise LedgerTampered(f"{delivery.name} is in the work list, but no event made it: it was inserted")
        if _digest(delivery) != recorded:
            raise LedgerTampered(f"{delivery.name} was changed in the work list: it differs from event {seq}")

    def end_of_work_list(self) -> None:
        for seq, _ in self.recorded.values():
            raise LedgerTampered(f"the delivery of event {seq} is missing in the work list: it was removed")


def _recomputed(event: Event) -> str | None:
    try:
        return event_hash(event.previous, event.body)
    except UnusableInput:
        return None  # a field holds what we never write, such as a binary value


def _digest(delivery: Delivery) -> str | None:
    try:
        return delivery.history_digest()
    except UnusableInput:
        return None


def _events(connection: Connection) -> Iterator[Event]:
    seq, unreadable = 0, None
    try:
        for event in events.in_order(connection) if _exists(connection, tables.events.name) else ():
            yield event
            seq = event.body.seq
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        unreadable = type(error).__name__
    if unreadable is not None:
        raise LedgerTampered(f"what follows event {seq} cannot be read ({unreadable}): it was damaged")


def _deliveries(connection: Connection) -> Iterator[Delivery]:
    try:
        yield from deliveries.all_by_id(connection) if _exists(connection, tables.deliveries.name) else ()
        return
    except (DBAPIError, ValueError) as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
    raise LedgerTampered("a row of the work list cannot be read: it was damaged")


def _exists(connection: Connection, table: str) -> bool:
    """A table that was dropped as a whole is an empty one: events or checkpoints tell what it should hold."""
    return inspect(connection).has_table(table)
