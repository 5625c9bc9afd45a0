"""Private keys of every kind that opens deliveries, and opening with whichever fits: age, OpenPGP, CMS.

The other two kinds are imported where a key of theirs is read: `gla envelope decrypt` starts in half the time without.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from cryptography.utils import Buffer

from core.discreet import discreet
from core.errors import KeyUnusable
from keys.envelope.errors import NoMatchingKey
from keys.envelope.reading import BinaryReader, as_file, replayed, unbuffered
from keys.envelope.relay import threads_for
from keys.envelope.seal import BinaryWriter, write_whole
from keys.private import opening
from keys.private.identities import Identity, parse_identities
from keys.private.passphrase import AskPassphrase, nobody_asks
from schemas.envelopes import AGE, CMS, OPENPGP, EnvelopeForm

if TYPE_CHECKING:
    from keys.private.cms import X509PrivateKey
    from keys.private.openpgp import OpenPgpPrivateKey

PrivateKey: TypeAlias = "Identity | OpenPgpPrivateKey | X509PrivateKey"
_START = 4096  # bytes looked at to tell the forms apart
_CMS_TEXT = (b"-----BEGIN CMS-----", b"-----BEGIN PKCS7-----")


@discreet
def parse_private_keys(data: bytes, ask: AskPassphrase = nobody_asks) -> list[PrivateKey]:
    """Read a key file: age identities, an OpenPGP private key, or an RSA key with its certificate (PEM).

    Raises `KeyUnusable`, which shows nothing of the file.
    """
    if b"-----BEGIN PGP" in data[:_START] or data[:1] >= b"\x80":
        return [_key_class(OPENPGP)(data, ask)]
    if b"PRIVATE KEY-----" in data and b"AGE-SECRET-KEY" not in data:
        return [_key_class(CMS)(data, ask)]
    return list(parse_identities(data.decode("utf-8", "replace")))


def open_pieces(source: BinaryReader, keys: Sequence[PrivateKey]) -> Iterator[Buffer]:
    """The content in pieces, each good until the next is asked for; of use only once the iteration ended without error.

    Raises the classes of `keys.envelope.errors`, some of them while iterating. `source` is read to its end.
    """
    form, whole = _recognised(source)
    if form is AGE:
        return opening.open_pieces(whole, _identities(keys))
    return _foreign_pieces(form, whole, keys)


def open_into(source: BinaryReader, keys: Sequence[PrivateKey], target: BinaryWriter) -> None:
    """Write the content to `target`, an age file's faster than through `open_pieces`; errors as there."""
    form, whole = _recognised(source)
    if form is AGE:
        opening.open_into(unbuffered(whole), _identities(keys), target, threads=threads_for(source, target))
        return
    for piece in _foreign_pieces(form, whole, keys):
        write_whole(target, piece)


def _recognised(source: BinaryReader) -> tuple[EnvelopeForm, io.BufferedReader]:
    start = b""
    while len(start) < _START and (more := source.read(_START - len(start))):
        start += more
    return _form(start), replayed(start, source)


def _identities(keys: Sequence[PrivateKey]) -> list[Identity]:
    return [key for key in keys if isinstance(key, Identity)]


def _foreign_pieces(form: EnvelopeForm, whole: io.BufferedReader, keys: Sequence[PrivateKey]) -> Iterator[Buffer]:
    fitting = [key for key in keys if isinstance(key, _key_class(form))]
    if not fitting:
        raise NoMatchingKey(f"this is an {form.name} file, and none of the given private keys is of that kind")
    if len(fitting) > 1:
        raise KeyUnusable(f"more than one {form.name} private key is given: name the one that the file is for")
    return fitting[0].pieces(whole)


def open_envelope(source: BinaryReader, keys: Sequence[PrivateKey]) -> io.BufferedReader:
    """The content as a readable file; errors as in `open_pieces`, so some of them come from `read`."""
    return as_file(open_pieces(source, keys))


def _key_class(form: EnvelopeForm) -> type[OpenPgpPrivateKey | X509PrivateKey]:
    if form is OPENPGP:
        from keys.private.openpgp import OpenPgpPrivateKey  # noqa: PLC0415

        return OpenPgpPrivateKey
    from keys.private.cms import X509PrivateKey  # noqa: PLC0415

    return X509PrivateKey


def _form(start: bytes) -> EnvelopeForm:
    if start.startswith(b"-----BEGIN PGP MESSAGE") or start[:1] >= b"\x80":
        return OPENPGP
    if start.startswith(_CMS_TEXT) or start[:1] == b"\x30":  # a SEQUENCE (X.690, 8.9)
        return CMS
    return AGE
