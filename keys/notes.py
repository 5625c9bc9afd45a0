"""Signed notes (C2SP `signed-note`): the form of the ledger's checkpoints, which tools of transparency logs read.

A note is text, an empty line, and a line for each signature: an em dash, the key's name, and base64 of a key ID and
the signature over the text. Ed25519 is type 0x01; ECDSA P-256, for tokens that have no Ed25519, is type 0x02. The key
may be one that makes SSH signatures too: what those sign begins with SSHSIG, with which no note may begin.

>>> key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
>>> verifier_key("example.com/foo", SshPublicKey(key))
'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from keys.published import PublishedKey, judge_each
from keys.sshsig import SshPublicKey
from keys.verification import Reason, Verification

_DASH = "\u2014"
_ED25519, _ECDSA = b"\x01", b"\x02"
_ID_BYTES = 4
_MOST_SIGNATURES = 64
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")

_Loaded = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


def signed_note(name: str, text: str, key: SshPublicKey, signature: bytes) -> str:
    """The note with the one signature, which is an Ed25519 one, or an ECDSA one in DER."""
    return f"{text}\n{_DASH} {name} {base64.b64encode(key_id(name, key) + signature).decode()}\n"


def signed_bytes(text: str) -> bytes:
    """What is signed; ValueError for text that cannot be a note."""
    one = text.endswith("\n") and "\n\n" not in text and not text.startswith(("\n", "SSHSIG"))
    if not one or _CONTROL.search(text):
        raise ValueError("a note is lines of text without an empty one")
    return text.encode()


def key_id(name: str, key: SshPublicKey) -> bytes:
    """Four bytes that, with the name, tell which key signed."""
    loaded, material = _loaded(key.line), _material(key.line)
    if isinstance(loaded, ed25519.Ed25519PublicKey):
        return hashlib.sha256(name.encode() + b"\n" + _ED25519 + material).digest()[:_ID_BYTES]
    return hashlib.sha256(material).digest()[:_ID_BYTES]


def verifier_key(name: str, key: SshPublicKey) -> str:
    """The key as tools for notes want it."""
    kind = _ED25519 if isinstance(_loaded(key.line), ed25519.Ed25519PublicKey) else _ECDSA
    return f"{name}+{key_id(name, key).hex()}+{base64.b64encode(kind + _material(key.line)).decode()}"


def judge(keys: Sequence[PublishedKey], note: str, at: datetime | None = None) -> Verification:
    """Whether one of `keys` signed the note under the name in its first line, or why not. Never raises.

    `at` is when the note itself says that it was made: not after the key was replaced.
    """
    try:
        text, signatures = _parted(note)
        message, name = signed_bytes(text), text.split("\n", 1)[0]
    except ValueError:
        return Verification(Reason.MALFORMED)
    return judge_each(keys, at, lambda key: Verification(_judged(key, name, message, signatures), key.line))


def verifier(keys: Sequence[PublishedKey]) -> Callable[[str, datetime], None]:
    """Takes a note and the time that it tells; `SignerUnknown` unless `judge` finds it signed by one of `keys`."""

    def verify(note: str, at: datetime) -> None:
        judge(keys, note, at).require("the checkpoint")

    return verify


def _parted(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """The text, and of each signature name, key ID and bytes; ValueError if it is no note."""
    text, separator, rest = note.rpartition("\n\n")
    lines = rest.split("\n")
    if not separator or lines.pop() or not 0 < len(lines) <= _MOST_SIGNATURES:
        raise ValueError("no signatures")
    return f"{text}\n", [_signature(line) for line in lines]


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, encoded = line.split(" ")
    raw = binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    if dash != _DASH or not name or "+" in name or len(raw) <= _ID_BYTES:
        raise ValueError("not a signature")
    return name, raw[:_ID_BYTES], raw[_ID_BYTES:]


def _judged(key: PublishedKey, name: str, message: bytes, signatures: Iterable[tuple[str, bytes, bytes]]) -> Reason:
    """Signatures by other keys are passed over; each one that has this key's name and ID must be genuine."""
    try:
        loaded, own = _loaded(key.line), key_id(name, SshPublicKey(key.line))
    except ValueError:
        return Reason.UNACCEPTED
    mine = [signature for signed_by, number, signature in signatures if (signed_by, number) == (name, own)]
    if not mine:
        return Reason.ANOTHER_KEY
    try:
        for signature in mine:
            if isinstance(loaded, ed25519.Ed25519PublicKey):
                loaded.verify(signature, message)
            else:
                loaded.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return Reason.NOT_GENUINE
    return Reason.VALID


@functools.lru_cache(maxsize=64)
def _loaded(line: str) -> _Loaded:
    key = load_ssh_public_key(line.encode("ascii"))
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    ):
        return key
    raise ValueError("neither Ed25519 nor ECDSA P-256")


def _material(line: str) -> bytes:
    """The public key as it stands in a verifier key."""
    key = _loaded(line)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
