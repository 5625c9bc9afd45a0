"""Our signatures with a key that is in memory: SSHSIG, which `ssh-keygen -Y verify` checks, and signed notes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from core.errors import KeyUnusable
from keys.notes import signed_bytes, signed_note
from keys.private.secret import Secret, read_secret_file
from keys.sshsig import SshPublicKey, armored, pack, parse_public_key, signed_data

_ALGORITHM = b"ssh-ed25519"


class SigningKey(Protocol):
    """What makes SSH signatures, wherever its private half is: in memory, or in a token."""

    @property
    def public_key(self) -> SshPublicKey: ...
    def sign(self, message: bytes, namespace: str) -> str:
        """The text of an SSH signature over `message`, valid for `namespace` only."""

    def sign_note(self, name: str, text: str) -> str:
        """The signed note (`keys.notes`) with this text, by this key under `name`."""


class Signer:
    """Holds one Ed25519 private key. `repr` shows the public fingerprint only."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public_key: SshPublicKey = parse_public_key(
            key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        )

    @classmethod
    def generate(cls) -> Signer:
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes, namespace: str) -> str:
        if not namespace:
            raise ValueError("a signature needs a namespace")
        signature = pack(_ALGORITHM) + pack(self._key.sign(signed_data(message, namespace)))
        return armored(self.public_key, namespace, signature)

    def sign_note(self, name: str, text: str) -> str:
        return signed_note(name, text, self.public_key, self._key.sign(signed_bytes(text)))

    def private_file(self) -> bytes:
        """The content of an OpenSSH private key file, without a passphrase."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())

    def __repr__(self) -> str:
        return f"<signer {self.public_key.fingerprint}>"


def load_signer(path: Path) -> Signer:
    """Read an Ed25519 OpenSSH private key file; raises `KeyUnusable` if it is absent, open to others or unreadable."""
    return signer_from(read_secret_file(path), str(path))


def signer_from(secret: Secret, place: str) -> Signer:
    """The signer of an OpenSSH private key; `KeyUnusable` names the `place` that holds something else."""
    try:
        key = load_ssh_private_key(secret.reveal(), password=None)
    except Exception:  # noqa: BLE001  foreign and many; none of them may carry the content further
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{place} is not an ed25519 private key of OpenSSH without a passphrase")
    return Signer(key)
