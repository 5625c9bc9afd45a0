"""The kinds of key that a delivery can be sealed to, behind one face: age, OpenPGP and X.509.

>>> key = parse_sealing_key("age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj")
>>> key.kind, key.form.suffix
('age-x25519', '.age')

Which kinds may share a file, and which is preferred where a recipient has several, is decided here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from core.discreet import discreet
from core.errors import KeyUnusable
from keys.cms.certificate import X509Recipient
from keys.cms.sealing import CmsSealer
from keys.envelope.recipients import Recipient, parse_recipient
from keys.envelope.seal import BinaryWriter, Sealer
from keys.openpgp.certificate import LARGEST, OpenPgpCertificate, merged
from keys.openpgp.sealing import OpenPgpSealer
from keys.validity import private_key_refused
from keys.whole import WholeOrNothing
from schemas.envelopes import FORMS, EnvelopeForm

_DER = b"\x30"  # a SEQUENCE, as every X.509 certificate starts (X.690, 8.9)
_OPENPGP_BINARY = b"\x80"  # the first bit of every packet (RFC 9580, 4.2)


class SealingKey(Protocol):
    """A public key. `str()` is the text to store, from which `parse_sealing_key` makes it again."""

    @property
    def kind(self) -> str:
        """age-x25519, age-hybrid, openpgp or x509."""

    @property
    def form(self) -> EnvelopeForm: ...
    @property
    def fingerprint(self) -> str:
        """As an agreement names it and people compare it over a second channel."""

    @property
    def is_hybrid(self) -> bool:
        """Whether a quantum computer too would have to break ML-KEM."""

    @property
    def not_before(self) -> datetime | None:
        """What the key itself says of when it may be used; None if it says nothing."""

    @property
    def not_after(self) -> datetime | None: ...
    def check(self, now: datetime) -> None:
        """`KeyUnusable` with the reason why nothing may be sealed to it at this moment."""


@discreet
def parse_sealing_key(given: str | bytes) -> SealingKey:
    """Read a public key: `age1...`, an OpenPGP certificate or an X.509 certificate, as text or binary.

    Raises `KeyUnusable`, which never shows what was given. It says nothing about now: ask `check`.
    """
    data = given.encode() if isinstance(given, str) else given
    start = data[: LARGEST + 1].lstrip()
    if b"PRIVATE KEY" in start.upper() or b"SECRET-KEY" in start.upper():
        raise private_key_refused()
    if start.startswith(b"-----BEGIN PGP"):
        return OpenPgpCertificate(data)
    if b"-----BEGIN CERTIFICATE-----" in start or start.startswith(_DER):
        return X509Recipient(data)
    if data[:1] >= _OPENPGP_BINARY:
        return OpenPgpCertificate(data)
    return parse_recipient(data.decode("utf-8", "replace"))


def check_together(keys: Sequence[SealingKey]) -> None:
    """`KeyUnusable` if these keys may not share a file: one form, and all of them post-quantum or none."""
    if not keys:
        raise KeyUnusable("there is no public key to seal to")
    if len({key.form for key in keys}) > 1:
        raise KeyUnusable("age, OpenPGP and X.509 keys may not share a delivery: keep one kind")
    if len({key.is_hybrid for key in keys}) > 1:
        raise KeyUnusable("hybrid (post-quantum) and classical keys may not share a file: keep one kind")


def preferred(keys: Sequence[SealingKey]) -> list[SealingKey]:
    """Those that may share a file, of the best sort that there is: age before OpenPGP before X.509, hybrid first."""

    def rank(key: SealingKey) -> tuple[int, bool]:
        return FORMS.index(key.form), not key.is_hybrid

    best = min(map(rank, keys), default=None)
    return [key for key in keys if rank(key) == best]


def open_sealer(
    target: BinaryWriter, keys: Sequence[SealingKey], now: datetime, openpgp_signer: bytes | None = None
) -> Sealer | WholeOrNothing:
    """A write-only file that encrypts to `keys`, which must be of one sort and valid now; see `Sealer`."""
    check_together(keys)
    if openpgp := [key for key in keys if isinstance(key, OpenPgpCertificate)]:
        return OpenPgpSealer(target, openpgp, now, openpgp_signer)
    if certificates := [key for key in keys if isinstance(key, X509Recipient)]:
        return CmsSealer(target, certificates, now)
    return Sealer(target, [key for key in keys if isinstance(key, Recipient)])


def renewed(old: SealingKey, new: SealingKey) -> SealingKey:
    """What is to be stored after a known key is given again: an OpenPGP certificate may say more than it did."""
    if isinstance(old, OpenPgpCertificate) and isinstance(new, OpenPgpCertificate):
        return merged(old, new)
    return new
