"""What the ledger's tests share: a clock that we turn, a signer that needs no key file, and one delivery done."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from core.errors import SignerUnknown
from core.period import Period
from ledger.checkpoints import Checkpoint
from ledger.deliveries import Claim
from ledger.merkle import joined, node_hash
from ledger.states import State
from ledger.store import Ledger
from ledger.tree import origin_of
from ledger.vocabulary import Action

AGREEMENT = "gla-2026-001"
JANUARY = Period.parse("2026-01")
DIGEST = "a" * 64
SEALED = '{"files": [{"name": "part-1.parquet.age", "sha256": "00"}]}'  # odd spacing: it must come back as it was
LEASE_SECONDS = 60


@dataclass
class Clock:
    """Stands still until it is told to go on."""

    now: datetime = field(default_factory=lambda: datetime(2026, 2, 1, 6, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **span: float) -> None:
        self.now += timedelta(**span)


@dataclass(frozen=True)
class SecretSigner:
    """A signer and verifier by one shared secret, where the kind of signature does not matter."""

    secret: bytes = b"test"

    def sign_note(self, name: str, text: str) -> str:
        signature = hmac.new(self.secret, f"{name}\0{text}".encode(), hashlib.sha256).hexdigest()
        return f"{text}\n\u2014 {name} {signature}\n"

    def verify(self, note: str, at: datetime) -> None:
        text = note.partition("\n\n")[0] + "\n"
        if not hmac.compare_digest(note.encode(), self.sign_note(text.split("\n")[0], text).encode()):
            raise SignerUnknown("not our signature")


def new_ledger(engine: Engine, clock: Clock | None = None) -> Ledger:
    return Ledger(engine, clock or Clock(), origin="test")


def claim(ledger: Ledger, period: Period = JANUARY, edition: int = 1, **changes: Any) -> Claim:
    request: dict[str, Any] = {
        "worker": "worker-1",
        "lease_seconds": LEASE_SECONDS,
        "actor": "operator",
        "reason": None,
        "agreement_digest": DIGEST,
        "recipient": "gemeente-voorbeeld",
        "product": "inkomstenverhoudingen",
    }
    agreement = changes.pop("agreement_id", AGREEMENT)
    return ledger.claim(agreement, period, edition, **{**request, **changes})


def extract(ledger: Ledger, held: Claim) -> Claim:
    return ledger.advance(held, State.EXTRACTING, Action.DELIVERY_EXTRACTING)


def seal(ledger: Ledger, held: Claim, sealed: str = SEALED) -> Claim:
    return ledger.advance(held, State.SEALED, Action.DELIVERY_SEALED, rows=200, bytes=4096, sealed=sealed)


def publish(ledger: Ledger, held: Claim) -> Claim:
    held = ledger.advance(held, State.PUBLISHING, Action.DELIVERY_PUBLISHING)
    expires = ledger.clock() + timedelta(days=30)
    return ledger.advance(held, State.PUBLISHED, Action.DELIVERY_PUBLISHED, {"manifest": "11"}, expires_at=expires)


def deliver(ledger: Ledger, period: Period = JANUARY, edition: int = 1, **changes: Any) -> Claim:
    """One delivery from claim to publication, given back at the end."""
    held = publish(ledger, seal(ledger, extract(ledger, claim(ledger, period, edition, **changes))))
    ledger.release(held)
    return held


def hashes_of(leaves: Iterable[bytes]) -> Iterator[bytes]:
    """What is stored as the hashes of each event, made apart from the code that stores it."""
    peaks: list[bytes] = []
    for number, leaf in enumerate(leaves, start=1):
        path = [leaf]
        while number % 2 ** len(path) == 0:
            path.append(node_hash(peaks.pop(), path[-1]))
        peaks.append(path[-1])
        yield b"".join(path)


def checkpoint_of(hashes: Iterable[bytes], at: str = "2026-04-01T00:00:00.000Z") -> Checkpoint:
    """Of a ledger whose events have these hashes."""
    leaves = [each[:32] for each in hashes]
    peaks: list[tuple[int, bytes]] = []
    for leaf in leaves:
        level, own = 0, leaf
        while peaks and peaks[-1][0] == level:
            level, own = level + 1, node_hash(peaks.pop()[1], own)
        peaks.append((level, own))
    return Checkpoint(origin_of(leaves[0]), len(leaves), joined([own for _, own in peaks]), at)
