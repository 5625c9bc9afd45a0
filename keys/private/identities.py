"""Private keys that open files: age X25519 and hybrid (C2SP age.md), and the key file they are kept in.

`repr` and errors never show a secret; only `secret_text` does. No passphrases and no plugins.
"""

from __future__ import annotations

import hashlib
import secrets
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from core.discreet import discreet
from core.errors import KeyUnusable
from keys.envelope import bech32
from keys.envelope.errors import HeaderInvalid
from keys.envelope.format import FILE_KEY_LENGTH, Stanza, b64decode, derive
from keys.envelope.recipients import (
    ENCAPSULATED_LENGTH,
    HYBRID_KIND,
    HYBRID_LABEL,
    HYBRID_SUITE,
    MLKEM_CIPHERTEXT_LENGTH,
    X25519_KIND,
    X25519_LABEL,
    ZERO_NONCE,
    HybridRecipient,
    Recipient,
    X25519Recipient,
)
from keys.envelope.wiping import wiped
from keys.private.secret import Secret

_SECRET_LENGTH = 32  # bytes, of both kinds
_WRAPPED_LENGTH = FILE_KEY_LENGTH + 16  # bytes, with the Poly1305 tag
_X25519_LENGTH = 32
_MLKEM_SEED_LENGTH = 64
_LINE_LIMIT = 1024  # characters; a private key has 77 at most, and reading one takes time for each character
_IDENTITY_LIMIT = 1000  # keys in one file; each is tried on each recipient of an encrypted file


class Identity(ABC):
    """A private key. `unwrap` gives the file key, or None where the stanza is for another key."""

    prefix: ClassVar[str]
    kind: ClassVar[str]
    share_length: ClassVar[int]  # bytes of the stanza's second argument
    recipient: Recipient

    def __init__(self, secret: bytes) -> None:
        if len(secret) != _SECRET_LENGTH:
            raise ValueError("a private key has 32 bytes")
        self._secret = Secret(secret)

    def secret_text(self) -> str:
        """The line that a key file holds. Whoever has it can open everything sealed to `recipient`."""
        return bech32.encode(self.prefix, self._secret.reveal())

    def __repr__(self) -> str:
        return f"<private key of {self.recipient.fingerprint}>"

    def unwrap(self, stanza: Stanza) -> bytearray | None:
        """The caller wipes it. Raises `HeaderInvalid` for a stanza of our kind that is malformed, whoever it is for."""
        if stanza.kind != self.kind:
            return None
        share = b64decode(stanza.arguments[1]) if len(stanza.arguments) == 2 else b""
        if len(share) != self.share_length or len(stanza.body) != _WRAPPED_LENGTH:
            raise HeaderInvalid(f"the header has a malformed recipient of the kind {self.kind}")
        try:
            return self._open(share, stanza.body)
        except InvalidTag:
            return None
        except ValueError:  # a share of low order, which would make the secret known to everyone
            pass
        raise HeaderInvalid(f"the header has a recipient of the kind {self.kind} with an insecure share")

    @abstractmethod
    def _open(self, share: bytes, body: bytes) -> bytearray:
        """Raises InvalidTag for another's stanza, ValueError for a share of low order."""


class X25519Identity(Identity):
    """`AGE-SECRET-KEY-1...`"""

    prefix: ClassVar[str] = "AGE-SECRET-KEY-"
    kind: ClassVar[str] = X25519_KIND
    share_length: ClassVar[int] = _X25519_LENGTH

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self._key = X25519PrivateKey.from_private_bytes(secret)
        self.recipient = X25519Recipient(self._key.public_key().public_bytes_raw())

    def _open(self, share: bytes, body: bytes) -> bytearray:
        shared = self._key.exchange(X25519PublicKey.from_public_bytes(share))
        file_key = bytearray(FILE_KEY_LENGTH)
        with wiped(derive(shared, share + self.recipient.raw, X25519_LABEL)) as wrap_key:
            ChaCha20Poly1305(wrap_key).decrypt_into(ZERO_NONCE, body, None, file_key)
        return file_key


class HybridIdentity(Identity):
    """`AGE-SECRET-KEY-PQ-1...`; the 32 bytes expand with SHAKE-256 to an ML-KEM-768 seed and an X25519 key."""

    prefix: ClassVar[str] = "AGE-SECRET-KEY-PQ-"
    kind: ClassVar[str] = HYBRID_KIND
    share_length: ClassVar[int] = ENCAPSULATED_LENGTH

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        expanded = hashlib.shake_256(secret).digest(_MLKEM_SEED_LENGTH + _X25519_LENGTH)
        lattice = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_LENGTH])
        self._curve = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_LENGTH:])
        self._key = hpke.MLKEM768X25519PrivateKey(lattice, self._curve)
        self.recipient = HybridRecipient(
            lattice.public_key().public_bytes_raw() + self._curve.public_key().public_bytes_raw()
        )

    def _open(self, share: bytes, body: bytes) -> bytearray:
        # HPKE reports a low-order share like any failure; asked first, it is told apart from another's stanza.
        self._curve.exchange(X25519PublicKey.from_public_bytes(share[MLKEM_CIPHERTEXT_LENGTH:]))
        return bytearray(HYBRID_SUITE.decrypt(share + body, self._key, info=HYBRID_LABEL))


_KINDS: dict[str, type[Identity]] = {kind.prefix: kind for kind in (X25519Identity, HybridIdentity)}


def generate_identity(kind: Literal["hybrid", "x25519"] = "hybrid") -> Identity:
    """A new private key from the system's random source."""
    secret = secrets.token_bytes(_SECRET_LENGTH)
    return HybridIdentity(secret) if kind == "hybrid" else X25519Identity(secret)


@discreet
def parse_identities(text: str) -> list[Identity]:
    """Read a key file: one private key a line, `#` comments, empty lines; raises `KeyUnusable` with a line number."""
    identities: list[Identity] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if content and not content.startswith("#"):
            if len(identities) == _IDENTITY_LIMIT:
                raise KeyUnusable(f"the key file holds more than {_IDENTITY_LIMIT} private keys")
            identities.append(_parse_identity(content, number))
    if not identities:
        raise KeyUnusable("the key file holds no private key")
    return identities


def _parse_identity(text: str, number: int) -> Identity:
    try:
        prefix, secret = bech32.decode(text[:_LINE_LIMIT])
        return _KINDS[prefix](secret)
    except (ValueError, KeyError):
        pass
    raise KeyUnusable(f"line {number} of the key file is not a private key of the form AGE-SECRET-KEY-...")
