"""Digests that only we can compute: whoever reads them cannot try out what they are digests of."""

from __future__ import annotations

import hashlib

from keys.private.secret import Secret

_PERSON_BYTES = 16  # of BLAKE2b's personalisation, RFC 7693 and the BLAKE2 paper


def keyed_digest(secret: Secret, purpose: str, data: bytes) -> str:
    """BLAKE2b-256 keyed with `secret`, in hexadecimal; digests for another `purpose` (at most 16 bytes) never agree."""
    if not 1 <= len(purpose.encode()) <= _PERSON_BYTES:
        raise ValueError("a purpose has 1 to 16 bytes")
    return hashlib.blake2b(data, digest_size=32, key=secret.reveal(), person=purpose.encode()).hexdigest()
