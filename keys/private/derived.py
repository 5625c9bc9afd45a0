"""Keys for one use each, derived from a key that never does anything else: who gets hold of one has only that.

HKDF-Expand with HMAC-SHA256 for 32 bytes (RFC 5869, section 2.3), which is a single HMAC over the context and one
byte. The key is 32 random bytes, so there is nothing to extract first (section 3.3). So a key in memory and one in a
PKCS#11 token are one thing with two homes: the token makes the HMAC inside itself (`keys.private.token`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from core.canonical import canonical_json
from keys.private.secret import Secret
from keys.published import check_value

KEY_BYTES = 32
NAME_CONTEXT = canonical_json(["gla-check-value-v1"])
"""What the key is derived over whose check value is the name: so nothing about the deriving key itself is needed."""


class DerivingKey(Protocol):
    """A key of ours that others are derived from, wherever it is."""

    @property
    def name(self) -> str:
        """Tells whether it is the one that something was made with, and nothing else; see `name_of`."""

    def answers_to(self, name: str) -> bool:
        """Whether it has this name, or had it once."""

    def derive(self, contexts: Iterable[bytes]) -> list[Secret]:
        """A key of 32 bytes for each context, in order. `KeyUnusable` says what is wrong with token, PIN or key."""


@dataclass(frozen=True, eq=False)
class LocalDerivingKey:
    """One that is in memory: 32 bytes."""

    secret: Secret

    @cached_property
    def name(self) -> str:
        return name_of(expand(self.secret, NAME_CONTEXT))

    def answers_to(self, name: str) -> bool:
        return name in (self.name, check_value(self.secret.reveal()))  # the second was its name before tokens held any

    def derive(self, contexts: Iterable[bytes]) -> list[Secret]:
        return [expand(self.secret, context) for context in contexts]


def name_of(derived: Secret) -> str:
    """The name of the key from which this one was derived over `NAME_CONTEXT`."""
    return check_value(derived.reveal())


def expand(secret: Secret, context: bytes) -> Secret:
    """The key of 32 bytes that `context` has under `secret`."""
    return Secret(HKDFExpand(SHA256(), KEY_BYTES, context).derive(secret.reveal()))
