"""When a public key may be sealed to, and the words for when it may not."""

from __future__ import annotations

from datetime import datetime

from core.clock import to_rfc3339
from core.errors import KeyUnusable

WEAKEST_RSA = 3072  # bits: 128 bits of security (NIST SP 800-57 part 1, table 2), to be kept secret beyond 2030


def private_key_refused() -> KeyUnusable:
    """The one answer to a private key given as a public one, whatever its form; it shows nothing of it."""
    return KeyUnusable(
        "this is a PRIVATE key, not a public one: treat it as leaked, make a new one, and give only the public part"
    )


def check_time(fingerprint: str, not_before: datetime, not_after: datetime | None, now: datetime) -> None:
    """`KeyUnusable` before the first and from the last moment on; no last moment means never."""
    if now < not_before:
        raise KeyUnusable(f"key {fingerprint} is not valid before {to_rfc3339(not_before)}: wait, or register another")
    if not_after is not None and now >= not_after:
        raise KeyUnusable(
            f"key {fingerprint} expired on {to_rfc3339(not_after)}: the recipient prolongs it or registers another"
        )
