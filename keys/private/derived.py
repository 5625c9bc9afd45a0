"""Keys for one use each, derived from a secret that never does anything else: who gets hold of one has only that.

HKDF-Expand with HMAC-SHA256 for 32 bytes (RFC 5869, section 2.3), which is a single HMAC over the context. The
secret is 32 random bytes, so there is nothing to extract first (section 3.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from keys.private.secret import Secret
from keys.published import check_value

_KEY_BYTES = 32


@dataclass(frozen=True)
class DerivingKey:
    """A secret of ours. `name` tells whether it is the one that something was made with, and nothing else."""

    name: str
    secret: Secret

    @classmethod
    def of(cls, secret: Secret) -> DerivingKey:
        return cls(check_value(secret.reveal()), secret)

    def derive(self, contexts: Iterable[bytes]) -> list[Secret]:
        """A key of 32 bytes for each context, in order."""
        return [expand(self.secret, context) for context in contexts]


def expand(secret: Secret, context: bytes) -> Secret:
    """The key of 32 bytes that `context` has under `secret`."""
    return Secret(HKDFExpand(SHA256(), _KEY_BYTES, context).derive(secret.reveal()))
