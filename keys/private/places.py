"""Where the private key of each role is: made and read there, and nothing is said of earlier ones.

A key is named by a URI (`keys.private.uri`); by default it is a file of mode 0600 in one directory of mode 0700, named
after its role. The files of signing keys are OpenSSH private keys, so that sshd and ssh-keygen read them too.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from core.errors import KeyUnusable
from core.files import new_file
from keys.private import material
from keys.private.material import Material
from keys.private.uri import FileUri, KeyUri, TokenUri, parse_key_uri
from keys.roles import SSH_ROLES, Role


class KeyPlaces:
    """Raises `KeyUnusable` for a key that is absent, open to others or not of its kind, with the next step."""

    def __init__(self, directory: Path, uris: Mapping[Role, str] | None = None) -> None:
        self.directory = directory
        self._uris = uris or {}

    def configured(self, role: Role) -> bool:
        """Whether the settings name a key for the role; otherwise it is the file of the role's name."""
        return role in self._uris

    def uri(self, role: Role) -> KeyUri:
        return self.parse_uri(role, self._uris.get(role, f"file:{role}"))

    def parse_uri(self, role: Role, text: str) -> KeyUri:
        """Read a URI for the role; `KeyUnusable` if its key cannot be there."""
        try:
            uri, reason = parse_key_uri(text, self.directory), ""
        except KeyUnusable as error:
            uri, reason = None, str(error)
        if role is Role.DROPZONE_HOST and uri is not None and not isinstance(uri, FileUri):
            reason = "the SFTP server reads its key itself, so it must be a file:"
        elif role not in SSH_ROLES and isinstance(uri, TokenUri):
            reason = "a token cannot hold such a key here: use file: or env:"
        if uri is None or reason:
            raise KeyUnusable(f"{role.setting}: {reason}")
        return uri

    def path(self, role: Role) -> Path:
        """The private key file of a role, for programs that read it themselves."""
        uri = self.uri(role)
        if not isinstance(uri, FileUri):
            raise KeyUnusable(f"the {role} key is not in a file")
        return uri.path

    def exists(self, role: Role) -> bool:
        """Whether the key can be asked for. One that is elsewhere than in a file is there, or asking says why not."""
        uri = self.uri(role)
        return not isinstance(uri, FileUri) or uri.path.is_file()

    def make(self, role: Role, uri: KeyUri, content: bytes | None = None) -> None:
        """Make a new key at `uri`, of this content where one is given; never in place of another."""
        if isinstance(uri, TokenUri):
            from keys.private.token import create_token_key  # noqa: PLC0415 - slow to import, and few have a token

            create_token_key(uri)
            return
        if not isinstance(uri, FileUri):
            raise KeyUnusable(f"{uri} is not ours to make: put a new {role} key into the variable")
        self.check_directory(create=True)
        try:
            with new_file(uri.path, mode=0o600, replace=False) as file:
                file.write(content or material.generate(role))
        except FileExistsError:
            reason = "there is one already, and it is not replaced"
        except OSError as error:
            reason = f"it cannot be written ({error.strerror})"
        else:
            return
        raise KeyUnusable(f"no key for {role} was made at {uri}: {reason}")

    def load(self, role: Role, uri: KeyUri | None = None) -> Material:
        """The key itself, from where the settings say or from `uri`."""
        place = uri or self.uri(role)
        if isinstance(place, TokenUri):
            from keys.private.token import load_token_signer  # noqa: PLC0415

            return load_token_signer(place)
        if isinstance(place, FileUri) and place.path.parent == self.directory:
            self.check_directory()
        return material.read(role, place.read(), str(place))

    def check_directory(self, *, create: bool = False) -> None:
        """`KeyUnusable` unless it is there, and for us only."""
        if create:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            mode = self.directory.stat().st_mode
        except OSError:
            mode = None
        if mode is None or not stat.S_ISDIR(mode):
            raise KeyUnusable(f"the key directory {self.directory} is not there: create the keys first")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnusable(f"the key directory {self.directory} is open to others: it must have mode 0700")
