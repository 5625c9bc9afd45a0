"""The tree of a stored ledger: its root at any size, and proofs; each reads the logarithm of the number of events.

Believes the stored hashes; `ledger.verify` checks those.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, desc, select

from core.errors import LedgerTampered
from ledger.merkle import HASH_BYTES, Span, consistency_spans, inclusion_spans, joined, peaks
from ledger.tables import events

_ORIGIN_CHARACTERS = 32  # of the first leaf in hexadecimal: 128 bits


@dataclass(frozen=True)
class Tree:
    connection: Connection

    def size(self) -> int:
        """How many events there are."""
        last = select(events.c.seq).order_by(desc(events.c.seq)).limit(1)
        return int(self.connection.execute(last).scalar_one_or_none() or 0)

    def root(self, size: int) -> bytes:
        """The root over the first `size` events, at least one."""
        return self._hash((0, size))

    def origin(self) -> str:
        """What this ledger is called in checkpoints; it has an event."""
        return origin_of(self._hash((0, 1)))

    def inclusion(self, seq: int, size: int) -> list[bytes]:
        """The proof that event `seq` is one of the first `size`."""
        return [self._hash(span) for span in inclusion_spans(seq - 1, size)]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """The proof that the first `first` events are the beginning of the first `second`."""
        return [self._hash(span) for span in consistency_spans(first, second)]

    def _hash(self, span: Span) -> bytes:
        start, end = span
        nodes = peaks(end - start, start)
        wanted = select(events.c.seq, events.c.hashes).where(events.c.seq.in_([last for _, last in nodes]))
        stored = {row.seq: bytes(row.hashes) for row in self.connection.execute(wanted)}
        hashes = [stored.get(last, b"")[level * HASH_BYTES : (level + 1) * HASH_BYTES] for level, last in nodes]
        if any(len(each) != HASH_BYTES for each in hashes):
            raise LedgerTampered("events are missing, or without their hashes: run gla ledger verify")
        return joined(hashes)


def origin_of(first_leaf: bytes) -> str:
    """A ledger is named after its first leaf, which is random: no two have the same, and none can take another's."""
    return f"gla-ledger/{first_leaf.hex()[:_ORIGIN_CHARACTERS]}"
