"""What is hashed of an event: its leaf in the Merkle tree. Pure; knows neither database nor keys.

The entry of a leaf is a domain, 32 random bytes and the event as RFC 8785 JSON. The random bytes keep a proof from
telling anything about its neighbours, whose hashes are in it: the likely contents of an event could all be tried.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from json import JSONEncoder
from typing import Any

from core.errors import UnusableInput

DOMAIN = b"gla-ledger-event-v2\n"  # so that these bytes can be taken for no other document of ours
NONCE_BYTES = 32
_PREFIX = b"\x00" + DOMAIN  # the first byte is RFC 6962's for a leaf
# for an object of text, whole numbers and null with its names in order, this is RFC 8785, ten times as fast
_ENCODE = JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

FIELDS = (
    "action",
    "actor",
    "agreement_id",
    "at",
    "delivery_id",
    "detail",
    "object",
    "once",
    "origin",
    "result",
    "row_digest",
    "seq",
)  # fmt: skip
"""In the order of RFC 8785."""


@dataclass(frozen=True)
class EventBody:
    """One event without its hashes: BIO2's six fields (8.15.01), what it is about, details as canonical JSON.

    `row_digest` is the digest of the delivery in the work list as the event left it, if it changed that.
    """

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
    row_digest: str | None
    detail: str


def new_nonce() -> bytes:
    return secrets.token_bytes(NONCE_BYTES)


def body_json(body: EventBody) -> bytes:
    """The RFC 8785 bytes; `UnusableInput` if a field has no JSON form."""
    return encoded({name: getattr(body, name) for name in FIELDS})


def leaf_of(nonce: bytes, body: EventBody) -> bytes:
    """The leaf's hash; `UnusableInput` if a field has no JSON form."""
    return sha256(_PREFIX + nonce + body_json(body)).digest()


def leaf_of_encoded(nonce: bytes, body: bytes) -> bytes:
    return sha256(_PREFIX + nonce + body).digest()


def encoded(fields: Any) -> bytes:
    """The same, for who has the fields of `FIELDS` in their order already; or for a list of such fields."""
    try:
        return _ENCODE(fields).encode()
    except (TypeError, ValueError):  # bytes, or half a character
        pass
    raise UnusableInput("an event has a field that is neither text nor a number: it has no hash")
