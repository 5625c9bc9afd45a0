"""What is hashed of an event: its leaf in the Merkle tree. Pure; knows neither database nor keys.

The entry of a leaf is a domain, 32 random bytes and the event as RFC 8785 JSON. The random bytes keep a proof from
telling anything about its neighbours, whose hashes are in it: the likely contents of an event could all be tried.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from json import JSONEncoder
from json.encoder import encode_basestring as _text
from typing import Any

from core.errors import UnusableInput

DOMAIN = b"gla-ledger-event-v2\n"  # so that these bytes can be taken for no other document of ours
NONCE_BYTES = 32
_PREFIX = b"\x00" + DOMAIN  # the first byte is RFC 6962's for a leaf
# of text and whole numbers Python writes what RFC 8785 asks for, ten times as fast as a program for all of JSON does
_PLAIN = JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)

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
    return row_json([getattr(body, name) for name in FIELDS])


def row_json(row: Sequence[Any]) -> bytes:
    """The same, of the values of `FIELDS`; what stands behind them is left out."""
    action, actor, agreement, at, delivery, detail, about, once, origin, result, digest, seq, *_ = row
    try:
        return (
            f'{{"action":{_text(action)},"actor":{_text(actor)},"agreement_id":{_optional(agreement)},"at":{_text(at)},'
            f'"delivery_id":{_optional(delivery)},"detail":{_text(detail)},"object":{_text(about)},'
            f'"once":{_optional(once)},"origin":{_text(origin)},"result":{_text(result)},'
            f'"row_digest":{_optional(digest)},"seq":{seq:d}}}'
        ).encode()
    except (TypeError, ValueError):  # bytes, or half a character
        pass
    raise UnusableInput("an event has a field that is neither text nor a number: it has no hash")


def leaf_of(nonce: bytes, body: EventBody) -> bytes:
    """The leaf's hash; `UnusableInput` if a field has no JSON form."""
    return leaf_of_json(nonce, body_json(body))


def leaf_of_json(nonce: bytes, body: bytes) -> bytes:
    return sha256(_PREFIX + nonce + body).digest()


def plain_json(value: Any) -> bytes:
    """The RFC 8785 bytes of an object or list of text, whole numbers and null; `UnusableInput` if it is none.

    The names in an object must be ASCII.
    """
    try:
        return _PLAIN.encode(value).encode()
    except (TypeError, ValueError):
        pass
    raise UnusableInput("a field is neither text nor a number: it has no canonical form")


def _optional(value: Any) -> str:
    return "null" if value is None else _text(value)
