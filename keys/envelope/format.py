"""The textual header of an age v1 file: stanzas and their MAC (C2SP age.md, "Header"). Strict and canonical.

Parsing accepts exactly the grammar of the specification, so that whatever parses serialises to the same bytes.
It does not unwrap keys, and it does not check the MAC, which needs the file key: `Header.verify` does.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.utils import Buffer

from keys.envelope.errors import HeaderInvalid, HmacMismatch
from keys.envelope.wiping import wiped

VERSION_LINE = b"age-encryption.org/v1\n"
FILE_KEY_LENGTH = 16  # bytes
_DERIVED_LENGTH = 32  # bytes
HEADER_LIMIT = 8 * 1024 * 1024  # bytes; 1,000 hybrid recipients need 1.6 MB, and nothing near this is honest
LINE_LIMIT = 16 * 1024  # bytes; the longest line that we know, a hybrid recipient's, has 1,511
STANZA_LIMIT = 4096  # recipients of one file; each costs a try to open it, and memory
_ARGUMENT_LIMIT = 64  # of a stanza; the known kinds have at most 3
_COLUMNS = 64  # of a line in a stanza's body
_ARGUMENT_LINE = re.compile(rb"-> ([!-~]+(?: [!-~]+){0,%d})\n" % (_ARGUMENT_LIMIT - 1))


def b64encode(data: bytes) -> str:
    """Standard base64 without padding."""
    return binascii.b2a_base64(data, newline=False).rstrip(b"=").decode()


def b64decode(text: str) -> bytes:
    """The inverse of `b64encode`; raises `HeaderInvalid` for padding, strange characters and non-canonical bits."""
    try:
        data = binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:  # also binascii.Error and non-ASCII
        data = None
    if data is None or b64encode(data) != text:
        raise HeaderInvalid("the header of the encrypted file holds base64 that is not canonical")
    return data


def derive(secret: Buffer, salt: bytes, info: bytes) -> bytearray:
    """HKDF-SHA-256 (RFC 5869) to 32 bytes, which the caller wipes."""
    key = bytearray(_DERIVED_LENGTH)
    HKDF(hashes.SHA256(), _DERIVED_LENGTH, salt, info).derive_into(secret, key)
    return key


@dataclass(frozen=True)
class Stanza:
    """One wrapping of the file key. The first argument names the kind of recipient."""

    arguments: tuple[str, ...]
    body: bytes

    @property
    def kind(self) -> str:
        return self.arguments[0]

    def serialise(self) -> bytes:
        body = b64encode(self.body)
        # One line more than the full ones: the last is always shorter than 64 characters, and may be empty.
        lines = [body[start : start + _COLUMNS] for start in range(0, len(body) + 1, _COLUMNS)]
        return "\n".join(["-> " + " ".join(self.arguments), *lines, ""]).encode()


@dataclass(frozen=True)
class Header:
    """The stanzas and the MAC over them."""

    stanzas: tuple[Stanza, ...]
    mac: bytes

    @classmethod
    def sealed(cls, stanzas: tuple[Stanza, ...], file_key: Buffer) -> Header:
        """A header whose MAC is made with `file_key`."""
        return cls(stanzas, _mac(stanzas, file_key).finalize())

    def verify(self, file_key: Buffer) -> None:
        """Raise `HmacMismatch` unless the header is as it was when the file key was wrapped (constant time)."""
        try:
            _mac(self.stanzas, file_key).verify(self.mac)
        except InvalidSignature:
            genuine = False
        else:
            genuine = True
        if not genuine:
            raise HmacMismatch("the header of the encrypted file was altered: ask the sender for the file again")

    def serialise(self) -> bytes:
        return _authenticated_part(self.stanzas) + b" " + b64encode(self.mac).encode() + b"\n"


def parse_header(source: BinaryIO) -> Header:
    """Read a header and leave `source` at the payload; raises `HeaderInvalid`.

    Of an endless one it reads at most a line, or 4,096 recipients, or 8 MiB, in memory of a few times that.
    """
    lines = _Lines(source)
    if lines.next() != VERSION_LINE:
        raise HeaderInvalid("this is not an encrypted file of the age v1 format")
    stanzas: list[Stanza] = []
    while not (line := lines.next()).startswith(b"---"):
        if len(stanzas) == STANZA_LIMIT:
            raise HeaderInvalid(f"the header of the encrypted file has more than {STANZA_LIMIT} recipients")
        stanzas.append(_parse_stanza(line, lines))
    if not stanzas or not line.startswith(b"--- "):
        raise HeaderInvalid("the header of the encrypted file has no recipient or no MAC")
    if len(stanzas) > 1 and any(stanza.kind == "scrypt" for stanza in stanzas):
        raise HeaderInvalid("the header mixes a passphrase with other recipients, which the format forbids")
    mac = b64decode(line[4:-1].decode("latin-1"))
    if len(mac) != hashes.SHA256.digest_size:
        raise HeaderInvalid("the MAC of the header has the wrong length")
    return Header(tuple(stanzas), mac)


class _Lines:
    """Whole lines of a header, up to `LINE_LIMIT` bytes each and `HEADER_LIMIT` in all."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._left = HEADER_LIMIT

    def next(self) -> bytes:
        line = self._source.readline(min(self._left, LINE_LIMIT))
        self._left -= len(line)
        if not line.endswith(b"\n"):
            raise HeaderInvalid("the header of the encrypted file is cut off, or too long to be honest")
        return line


def _parse_stanza(line: bytes, lines: _Lines) -> Stanza:
    match = _ARGUMENT_LINE.fullmatch(line)
    if match is None:
        raise HeaderInvalid("the header of the encrypted file has a malformed recipient line")
    body = bytearray()
    full = True
    while full:
        text = lines.next()[:-1].decode("latin-1")
        if len(text) > _COLUMNS:
            raise HeaderInvalid("the header of the encrypted file has a body line that is too long")
        body += b64decode(text)
        full = len(text) == _COLUMNS
    return Stanza(tuple(match[1].decode().split(" ")), bytes(body))


def _authenticated_part(stanzas: tuple[Stanza, ...]) -> bytes:
    """The header up to and including the `---` mark."""
    return VERSION_LINE + b"".join(stanza.serialise() for stanza in stanzas) + b"---"


def _mac(stanzas: tuple[Stanza, ...], file_key: Buffer) -> HMAC:
    with wiped(derive(file_key, b"", b"header")) as key:
        mac = HMAC(key, hashes.SHA256())
    mac.update(_authenticated_part(stanzas))
    return mac
