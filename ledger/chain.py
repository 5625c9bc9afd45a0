"""The hash chain over events: every event holds the hash of the one before it. Pure; knows neither database nor keys.

Changing, removing, inserting or reordering an event breaks the chain behind it. Recomputing the hashes of the rest, or
cutting the end off, does not: that is what signed checkpoints in a second place are for.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.canonical import canonical_json, sha256_hex

GENESIS = "0" * 64  # what the first event holds as the hash before it
_DOMAIN = b"gla-ledger-event-v1\n"  # so that these bytes can be taken for no other document of ours


@dataclass(frozen=True)
class EventBody:
    """One event without its hashes: BIO2's six fields (8.15.01), what it is about, details as canonical JSON."""

    seq: int
    at: str
    action: str
    object: str
    result: str
    origin: str
    actor: str
    agreement_id: str | None
    delivery_id: str | None
    once: str | None
    detail: str


def event_hash(previous: str, body: EventBody) -> str:
    """SHA-256 over domain, body and previous hash (RFC 8785); `UnusableInput` if a field has no JSON form."""
    return sha256_hex(_DOMAIN + canonical_json({"previous": previous, **vars(body)}))
