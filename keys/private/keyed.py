"""Digests that only we can compute: whoever reads them cannot try out what they are digests of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from core.canonical import canonical_json
from keys.private.derived import DerivingKey, LocalDerivingKey
from keys.private.secret import Secret

_DOMAIN = "gla-digest-v1"
_PERSON_BYTES = 16  # of BLAKE2b's personalisation, RFC 7693 and the BLAKE2 paper


def digest_by(key: DerivingKey, purpose: str, data: bytes) -> str:
    """The digest of `data` under a key that is derived for `purpose`; in hexadecimal."""
    return keyed_digest(key.derive([canonical_json([_DOMAIN, purpose])])[0], purpose, data)


def is_digest(digest: str, keys: Iterable[DerivingKey], purpose: str, data: bytes) -> bool:
    """Whether `digest` is that of `data` under one of the keys, of which no more are asked than it takes.

    Digests of before tokens held such keys were keyed with the key itself; they count still.
    """
    return any(
        digest == digest_by(key, purpose, data)
        or (isinstance(key, LocalDerivingKey) and digest == keyed_digest(key.secret, purpose, data))
        for key in keys
    )


def keyed_digest(secret: Secret, purpose: str, data: bytes) -> str:
    """BLAKE2b-256 keyed with `secret`, in hexadecimal; digests for another `purpose` (at most 16 bytes) never agree."""
    if not 1 <= len(purpose.encode()) <= _PERSON_BYTES:
        raise ValueError("a purpose has 1 to 16 bytes")
    return hashlib.blake2b(data, digest_size=32, key=secret.reveal(), person=purpose.encode()).hexdigest()
