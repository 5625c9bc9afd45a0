"""Where one of our keys is, as one line in the settings.

=================================== =============================================================
``file:/path``, ``file:name``       a file of mode 0600; a name is below ``keys/``
``env:NAME``                        a variable of the environment
``pkcs11:token=T;object=O?...``     in a token, which it never leaves (RFC 7512); the query must say
                                    ``module-path=/lib.so&pin-source=file:/path`` (or ``env:NAME``)
=================================== =============================================================

A URI holds no secret: `pin-value` is refused, and errors never repeat a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from core.discreet import discreet
from core.errors import KeyUnusable
from keys.private.secret import Secret, read_secret_file, read_secret_variable

_SECRET = re.compile(r"PRIVATE KEY|SECRET-KEY|\b[0-9a-f]{64}\b|[\x00-\x1f]", re.IGNORECASE)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")


@dataclass(frozen=True)
class FileUri:
    path: Path

    def __str__(self) -> str:
        return f"file:{self.path}"

    def read(self) -> Secret:
        return read_secret_file(self.path)


@dataclass(frozen=True)
class EnvUri:
    name: str

    def __str__(self) -> str:
        return f"env:{self.name}"

    def read(self) -> Secret:
        return read_secret_variable(self.name)


@dataclass(frozen=True)
class TokenUri:
    """A key in a PKCS#11 token: `label` is its CKA_LABEL. `pin` says where the PIN is."""

    token: str
    label: str
    module: Path
    pin: FileUri | EnvUri
    serial: str | None = None

    def __str__(self) -> str:
        return f"token {self.token!r}, object {self.label!r}"


KeyUri = FileUri | EnvUri | TokenUri


@discreet
def parse_key_uri(text: str, folder: Path, object_type: str = "private") -> KeyUri:
    """Read a key URI; relative names are below `folder`. `KeyUnusable` says what is wrong, never with the text.

    `object_type` is what the key is in a token, as RFC 7512 calls it: of a pair, "private", or else "secret-key".
    """
    scheme, colon, rest = text.partition(":")
    if colon and rest:
        if scheme in ("file", "env"):
            return _parse_place(text, folder)
        if scheme == "pkcs11":
            return _parse_token(rest, folder, object_type)
    raise KeyUnusable("a key is named by file:PATH, env:NAME or pkcs11:token=...;object=...")


def _parse_place(text: str, folder: Path) -> FileUri | EnvUri:
    scheme, _, rest = text.partition(":")
    if _SECRET.search(rest):  # else the error about the file or variable of this name would show it
        raise KeyUnusable(f"{scheme}: names the place of a key, and what follows looks like the key itself")
    if scheme == "env" and _VARIABLE.fullmatch(rest):
        return EnvUri(rest)
    if scheme == "file" and rest:
        path = rest[2:] if rest.startswith("///") else rest  # RFC 8089: file:///path and file:/path are the same
        if not path.startswith("//"):
            return FileUri(folder / path)
    raise KeyUnusable("file: needs a path on this machine, env: the name of a variable")


def _parse_token(rest: str, folder: Path, object_type: str) -> TokenUri:
    path, _, query = rest.partition("?")
    named = _attributes(path, ";", {"token", "object", "serial", "type"}, {"token", "object"})
    asked = _attributes(query, "&", {"module-path", "pin-source"}, {"module-path", "pin-source"})
    if named.get("type", object_type) != object_type:
        raise KeyUnusable(f"a pkcs11: URI of such a key has the type {object_type}, or none")
    source = asked["pin-source"]
    pin = _parse_place(source if source.startswith(("file:", "env:")) else f"file:{source}", folder)
    return TokenUri(named["token"], named["object"], Path(asked["module-path"]), pin, named.get("serial"))


def _attributes(text: str, separator: str, known: set[str], needed: set[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(separator) if pair]
    if any(name == "pin-value" for name, _, _ in pairs):
        raise KeyUnusable(
            "a PIN does not belong in a pkcs11: URI: put it in a file of mode 0600, and name it: pin-source"
        )
    try:
        found = {name: unquote_to_bytes(value).decode("utf-8") for name, _, value in pairs}
    except UnicodeDecodeError:
        found = {}
    wrong = sorted(set(found) - known)
    if not wrong and len(found) == len(pairs) and all(found.get(name) for name in needed) and "\x00" not in text:
        return found
    raise KeyUnusable(
        "a pkcs11: URI is pkcs11:token=...;object=...?module-path=...&pin-source=file:..., each once"
        " and nothing else but serial and type"
    )
