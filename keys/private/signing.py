"""Our signatures: Ed25519 in the SSHSIG form, so that `ssh-keygen -Y verify` checks them. Also reads the key file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
)

from core.errors import KeyUnusable
from keys.sshsig import SshPublicKey, armored, pack, parse_public_key, signed_data

_ALGORITHM = b"ssh-ed25519"
_FILE_LIMIT = 64 * 1024  # bytes; an Ed25519 key file has about 400
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


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
        """The text of an SSH signature over `message`, valid for `namespace` only."""
        if not namespace:
            raise ValueError("a signature needs a namespace")
        signature = pack(_ALGORITHM) + pack(self._key.sign(signed_data(message, namespace)))
        return armored(self.public_key, namespace, signature)

    def private_file(self) -> bytes:
        """The content of an OpenSSH private key file, without a passphrase."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())

    def __repr__(self) -> str:
        return f"<signer {self.public_key.fingerprint}>"


def load_signer(path: Path) -> Signer:
    """Read an Ed25519 OpenSSH private key file; raises `KeyUnusable` if it is absent, open to others or unreadable."""
    data = _private_content(path)
    try:
        key = load_ssh_private_key(data, password=None)
    except Exception:  # noqa: BLE001  foreign and many; none of them may carry the content further
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"{path} is not an ed25519 private key of OpenSSH without a passphrase")
    return Signer(key)


def _private_content(path: Path) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            data = file.read(_FILE_LIMIT)
    except OSError as error:
        reason = error.strerror
    else:
        reason = None
    if reason is not None:
        raise KeyUnusable(f"the private key {path} cannot be read: {reason}")
    if status.st_mode & _OTHERS or status.st_uid not in (0, os.geteuid()):
        raise KeyUnusable(f"the private key {path} is open to others: it must be yours, with mode 0600")
    return data
