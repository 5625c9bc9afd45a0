"""Where our own private keys live: one directory of mode 0700, and one file of mode 0600 for each role.

The files are OpenSSH private keys, so that sshd and ssh-keygen read them too. A key is never replaced here: rotation
is a deliberate act that keeps the old public key known.
"""

from __future__ import annotations

import stat
from enum import StrEnum
from pathlib import Path

from core.errors import KeyUnusable
from core.files import new_file
from keys.private.signing import Signer, load_signer
from keys.sshsig import SshPublicKey


class Role(StrEnum):
    """What a key may be used for."""

    AGREEMENT_SEAL = "agreement-seal"
    MANIFEST = "manifest"
    LEDGER = "ledger"
    DROPZONE_HOST = "dropzone-host"


class Custody:
    """Our keys in `directory`. Reading raises `KeyUnusable` for a key that is absent or open to others."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, role: Role) -> Path:
        """The private key file of a role, for programs that read it themselves."""
        return self._directory / role.value

    def exists(self, role: Role) -> bool:
        return self.path(role).is_file()

    def create(self, role: Role) -> SshPublicKey:
        """Make the key of a role; raises `KeyUnusable` if there is one, also when another process is first."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_directory()
        signer = Signer.generate()
        try:
            with new_file(self.path(role), mode=0o600, replace=False) as file:
                file.write(signer.private_file())
        except FileExistsError:
            taken = True
        else:
            taken = False
        if taken:
            raise KeyUnusable(f"there is a key for {role} already, and it is not replaced")
        return signer.public_key

    def signer(self, role: Role) -> Signer:
        self._check_directory()
        return load_signer(self.path(role))

    def public_key(self, role: Role) -> SshPublicKey:
        return self.signer(role).public_key

    def _check_directory(self) -> None:
        try:
            mode = self._directory.stat().st_mode
        except OSError:
            mode = None
        if mode is None or not stat.S_ISDIR(mode):
            raise KeyUnusable(f"the key directory {self._directory} is not there: create the keys first")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnusable(f"the key directory {self._directory} is open to others: it must have mode 0700")
