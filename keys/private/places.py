"""Where the private key of each role is: made and read there, and nothing is said of what was published of it.

A key is named by a URI (`keys.private.uri`); by default it is a file of mode 0600 in one directory of mode 0700, named
after its role. The files of signing keys are OpenSSH private keys, so that sshd and ssh-keygen read them too. Earlier
keys for digests that could not stand behind the next one, because a token has one of the two, are where one line each
of `person-digests.earlier` says.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from core.errors import KeyUnusable
from core.files import append_line, append_only, new_file
from keys.private import material
from keys.private.derived import DerivingKey
from keys.private.material import DigestKeys, Material
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
        return self.parse_uri(role, self._text(role))

    def _text(self, role: Role) -> str:
        return self._uris.get(role, f"file:{role}")

    def parse_uri(self, role: Role, text: str) -> KeyUri:
        """Read a URI for the role; `KeyUnusable` if its key cannot be there."""
        secret = role is Role.PERSON_DIGESTS
        try:
            uri, reason = parse_key_uri(text, self.directory, "secret-key" if secret else "private"), ""
        except KeyUnusable as error:
            uri, reason = None, str(error)
        if role is Role.DROPZONE_HOST and uri is not None and not isinstance(uri, FileUri):
            reason = "the SFTP server reads its key itself, so it must be a file:"
        elif role not in SSH_ROLES and not secret and isinstance(uri, TokenUri):
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

    def is_in_token(self, role: Role, uri: TokenUri) -> bool:
        """Whether the token holds a key for the role; `KeyUnusable` if it cannot be asked."""
        from keys.private import token  # noqa: PLC0415 - slow to import, and few have a token

        return token.is_in_token(uri, deriving=role is Role.PERSON_DIGESTS)

    def make(self, role: Role, uri: KeyUri, content: bytes | None = None) -> None:
        """Make a new key at `uri`, of this content where one is given; never in place of another."""
        if isinstance(uri, TokenUri):
            from keys.private import token  # noqa: PLC0415

            make = token.create_token_deriving_key if role is Role.PERSON_DIGESTS else token.create_token_key
            make(uri)
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
        """The key itself, from where the settings say or from `uri`; earlier ones behind it, also from elsewhere."""
        place = uri or self.uri(role)
        if isinstance(place, TokenUri):
            from keys.private import token  # noqa: PLC0415

            if role is not Role.PERSON_DIGESTS:
                return token.load_token_signer(place)
            key: Material = DigestKeys((token.load_token_deriving_key(place),))
        else:
            if isinstance(place, FileUri) and place.path.parent == self.directory:
                self.check_directory()
            key = material.read(role, place.read(), str(place))
        return DigestKeys((*key.keys, *self._earlier(role, place))) if isinstance(key, DigestKeys) else key

    def keep_as_earlier(self, role: Role) -> None:
        """Note where the key of today is, for when it is an earlier one that cannot stand behind the next one."""
        text = self._text(role)
        try:
            with append_only(self._earlier_path(role), mode=0o600) as file:
                if text not in self._earlier_texts(role):
                    append_line(file, text.encode())
            return
        except OSError as error:
            reason = error.strerror
        raise KeyUnusable(f"the places of earlier keys cannot be written ({reason}): check {self._earlier_path(role)}")

    def _earlier(self, role: Role, besides: KeyUri) -> Iterator[DerivingKey]:
        """The earlier keys of which a place was noted, the newest first; what is in a token is not asked for yet."""
        texts = self._earlier_texts(role)
        if texts:
            self.check_directory()
        for text in reversed(texts):
            try:
                place = self.parse_uri(role, text)
                if place != besides:
                    yield from self._unasked(role, place)
                continue
            except KeyUnusable as error:
                reason = str(error)
            raise KeyUnusable(
                f"an earlier {role} key cannot be used: {reason}; put it back, or, if nothing that was made with it "
                f"shall be readable any more, remove its line from {self._earlier_path(role)}"
            )

    @staticmethod
    def _unasked(role: Role, place: KeyUri) -> tuple[DerivingKey, ...]:
        if isinstance(place, TokenUri):
            from keys.private.token import TokenDerivingKey  # noqa: PLC0415

            return (TokenDerivingKey(place),)
        key = material.read(role, place.read(), str(place))
        assert isinstance(key, DigestKeys), "only such keys have their places noted"
        return key.keys

    def _earlier_texts(self, role: Role) -> list[str]:
        try:
            return self._earlier_path(role).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError):
            pass
        raise KeyUnusable(f"the places of earlier keys cannot be read: check {self._earlier_path(role)}")

    def _earlier_path(self, role: Role) -> Path:
        return self.directory / f"{role}.earlier"

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
