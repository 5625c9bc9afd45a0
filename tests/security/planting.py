"""Secrets that tests plant everywhere and then look for: keys of all kinds, passphrases, passwords, tokens."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pysequoia import Tsk
from pysequoia.packet import PacketPile, Tag

from keys.envelope import bech32
from keys.private.identities import generate_identity
from tests.foreign_keys import certificate_pair
from tests.security.forms import Forms, pattern
from tests.security.scanner import hits

PASSPHRASE = "plum-" + secrets.token_hex(12)
PASSWORD = "fig-" + secrets.token_hex(12)
PIN = "pin-" + secrets.token_hex(12)


def openssh(key: Ed25519PrivateKey, passphrase: str | None = None) -> bytes:
    protection = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, protection)


def lines_of(pem: bytes) -> list[bytes]:
    """The lines of a key in PEM or armor, whole and as what they encode."""
    lines = [line for line in pem.splitlines() if len(line) >= 64 and b"-----" not in line and b":" not in line]
    return lines + [base64.b64decode(line) for line in lines if len(line) % 4 == 0]


@dataclass
class Planted:
    """Every secret that there is, and where what was shown is written."""

    folder: Path
    identity: Any = field(default_factory=lambda: generate_identity("hybrid"))
    classical: Any = field(default_factory=lambda: generate_identity("x25519"))
    ssh: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    protected: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    manifest: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    intake: Any = field(default_factory=lambda: generate_identity("hybrid"))
    digests: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    found: dict[str, Forms] = field(default_factory=dict)
    shown: int = 0

    def __post_init__(self) -> None:
        for name in ("identity", "classical", "intake"):
            (text,) = [getattr(self, name).secret_text()]
            self.knows(f"the age key {name}", text.removeprefix("AGE-SECRET-KEY-").removeprefix("PQ-"), age_bytes(text))
        for name in ("ssh", "protected", "manifest"):
            key = getattr(self, name)
            self.knows(f"the SSH key {name}", key.private_bytes_raw(), *lines_of(openssh(key))[1:2])
        self.knows("the secret of digests", self.digests)
        self.knows("a passphrase", PASSPHRASE)
        self.knows("the password of the database", PASSWORD)
        self.knows("a PIN", PIN)
        self.pgp = bytes(Tsk.generate("fonds <fonds@example.nl>"))
        self.knows("the OpenPGP key", *pgp_secrets(self.pgp))
        self.rsa, self.certificate = certificate_pair()
        self.knows("the RSA key", *rsa_secrets(self.rsa))

    def knows(self, name: str, *values: bytes | str) -> None:
        self.found[name] = pattern(*values)

    def path(self, name: str) -> Path:
        """A key file of the recipient's, outside everything that is searched."""
        return self.folder / "secret" / name

    def file(self, name: str, content: bytes | str) -> Path:
        target = self.path(name)
        target.parent.mkdir(exist_ok=True, mode=0o700)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())
        target.chmod(0o600)
        return target

    def show(self, name: str, *contents: bytes) -> None:
        """Keep what was shown, to be searched."""
        self.shown += 1
        target = self.folder / "shown" / f"{self.shown:03}-{name[:60].replace('/', '_').replace(' ', '-')}"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(b"\n".join(contents))

    def leaks(self, *parts: str) -> list[str]:
        """Where any planted secret is found below these folders."""
        return [hit for part in parts for hit in hits(self.folder / part, self.found)]


def age_bytes(text: str) -> bytes:
    return bech32.decode(text)[1]


def pgp_secrets(key: bytes) -> list[bytes]:
    """The ends of the packets of secret keys, where the secret numbers are, without their two bytes of checksum."""
    packets = [bytes(each) for each in PacketPile.from_bytes(key) if each.tag in (Tag.SecretKey, Tag.SecretSubkey)]
    assert len(packets) >= 2
    return [packet[-34:-2] for packet in packets]


def rsa_secrets(pem: bytes) -> list[bytes]:
    numbers = load_pem_private_key(pem, None).private_numbers()  # type: ignore[union-attr]
    raw = [
        number.to_bytes(number.bit_length() // 8 + 1, "big").lstrip(b"\0")
        for number in (numbers.d, numbers.p, numbers.q)
    ]
    secret = lines_of(pem)[12:14]  # those before hold the modulus, as the certificate does
    return [*raw, *(str(number) for number in (numbers.d, numbers.p, numbers.q)), *secret]  # type: ignore[list-item]


def protected_rsa(planted: Planted) -> bytes:
    protection = BestAvailableEncryption(PASSPHRASE.encode())
    key = load_pem_private_key(planted.rsa, None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection) + planted.certificate


def damaged(text: str) -> str:
    """Mistyped at the end, so that most of it is still the key."""
    return text[:-1] + ("Q" if text[-1] != "Q" else "P")
