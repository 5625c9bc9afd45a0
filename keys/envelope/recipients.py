"""Public keys that a file can be sealed to: age X25519 and the hybrid post-quantum kind (C2SP age.md).

Hybrid is ML-KEM-768 with X25519 through HPKE (RFC 9180): an attacker has to break both. No tags, plugins or
passphrases. A private key pasted in the place of a public one is refused without being shown or kept.

>>> parse_recipient("age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj").is_hybrid
False
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.utils import Buffer

from core.discreet import discreet
from core.errors import KeyUnusable
from keys.envelope import bech32
from keys.envelope.format import Stanza, b64encode, derive
from keys.envelope.wiping import wiped
from schemas.envelopes import AGE, EnvelopeForm

X25519_KIND = "X25519"
X25519_LABEL = b"age-encryption.org/v1/X25519"
HYBRID_KIND = "mlkem768x25519"
HYBRID_LABEL = b"age-encryption.org/mlkem768x25519"
HYBRID_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
MLKEM_CIPHERTEXT_LENGTH = 1088  # bytes
ENCAPSULATED_LENGTH = MLKEM_CIPHERTEXT_LENGTH + 32  # bytes, with the X25519 share
ZERO_NONCE = bytes(12)  # safe: every wrapping key is used once
MLKEM_PUBLIC_LENGTH = 1184  # bytes
_TEXT_LIMIT = 10_000  # characters; a hybrid recipient has 1,959
_PRIVATE_KEY = re.compile(r"AGE-SECRET-KEY|AGE-PLUGIN-.*-1|PRIVATE KEY|PuTTY-User-Key", re.IGNORECASE)


@dataclass(frozen=True)
class Recipient(ABC):
    """A public key. `str()` is its canonical text; equal keys are equal recipients."""

    raw: bytes
    form: ClassVar[EnvelopeForm] = AGE
    prefix: ClassVar[str]
    kind: ClassVar[str]
    is_hybrid: ClassVar[bool]
    not_before: ClassVar[None] = None  # an age key says nothing of when it may be used
    not_after: ClassVar[None] = None

    def check(self, now: datetime) -> None:  # noqa: B027 - as the other kinds have it
        """Nothing that time changes; other kinds of key expire."""

    @abstractmethod
    def wrap(self, file_key: Buffer) -> Stanza:
        """The file key, readable by the owner of this key only."""

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and unpadded base64 of SHA-256 over the canonical text, to be compared over a second channel."""
        digest = hashes.Hash(hashes.SHA256())
        digest.update(str(self).encode())
        return "SHA256:" + b64encode(digest.finalize())

    def __str__(self) -> str:
        return bech32.encode(self.prefix, self.raw)

    def __repr__(self) -> str:
        return f"<recipient {self.fingerprint}>"


@dataclass(frozen=True, repr=False)
class X25519Recipient(Recipient):
    """`age1...`: 32 bytes, safe today, not against a quantum computer."""

    prefix: ClassVar[str] = "age"
    kind: ClassVar[str] = "age-x25519"
    is_hybrid: ClassVar[bool] = False

    def __post_init__(self) -> None:
        X25519PrivateKey.generate().exchange(
            self._key
        )  # ValueError for a point of low order: everyone knows its secrets

    @property
    def _key(self) -> X25519PublicKey:
        return X25519PublicKey.from_public_bytes(self.raw)

    def wrap(self, file_key: Buffer) -> Stanza:
        ephemeral = X25519PrivateKey.generate()
        share = ephemeral.public_key().public_bytes_raw()
        with wiped(derive(ephemeral.exchange(self._key), share + self.raw, X25519_LABEL)) as wrap_key:
            body = ChaCha20Poly1305(wrap_key).encrypt(ZERO_NONCE, file_key, None)
        return Stanza((X25519_KIND, b64encode(share)), body)


@dataclass(frozen=True, repr=False)
class HybridRecipient(Recipient):
    """`age1pq1...`: 1,216 bytes, ML-KEM-768 and X25519 together."""

    prefix: ClassVar[str] = "age1pq"
    kind: ClassVar[str] = "age-hybrid"
    is_hybrid: ClassVar[bool] = True

    def __post_init__(self) -> None:
        MLKEM768PublicKey.from_public_bytes(self.raw[:MLKEM_PUBLIC_LENGTH])
        X25519Recipient(self.raw[MLKEM_PUBLIC_LENGTH:])

    def wrap(self, file_key: Buffer) -> Stanza:
        key = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(self.raw[:MLKEM_PUBLIC_LENGTH]),
            X25519PublicKey.from_public_bytes(self.raw[MLKEM_PUBLIC_LENGTH:]),
        )
        sealed = HYBRID_SUITE.encrypt(file_key, key, info=HYBRID_LABEL)
        encapsulated, body = sealed[:ENCAPSULATED_LENGTH], sealed[ENCAPSULATED_LENGTH:]
        return Stanza((HYBRID_KIND, b64encode(encapsulated)), body)


_KINDS: dict[str, type[Recipient]] = {kind.prefix: kind for kind in (X25519Recipient, HybridRecipient)}


@discreet
def parse_recipient(text: str) -> Recipient:
    """Read `age1...` or `age1pq1...`; raises `KeyUnusable`, which never shows the text."""
    text = text[:_TEXT_LIMIT].strip()
    if _PRIVATE_KEY.search(text):
        raise KeyUnusable(
            "this is a PRIVATE key, not a public one: treat it as leaked, make a new one, give only the age1... text"
        )
    try:
        prefix, raw = bech32.decode(text)
        return _KINDS[prefix](raw)
    except (ValueError, KeyError):
        pass
    raise KeyUnusable("this is not a public key of the form age1pq1... (hybrid) or age1... (X25519)")
