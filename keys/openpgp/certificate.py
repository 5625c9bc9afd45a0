"""An OpenPGP certificate that a file can be sealed to: which of its keys are for encryption, strong, and until when.

Sequoia judges: a packet counts only if a message can be made with it, so a signature that does not verify, or is made
with a broken algorithm, does not. What its Python binding does not tell (expiry and size of each key), and what it lets
pass (it falls back on expired keys, and does not ask whether the whole certificate was revoked), is found out here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from pysequoia import ArmorKind, Cert, armor, encrypt
from pysequoia.packet import Packet, PacketPile, PublicKeyAlgorithm, SignatureType, Tag

from core.errors import KeyUnusable
from keys.validity import WEAKEST_RSA, check_time, private_key_refused
from schemas.envelopes import OPENPGP, EnvelopeForm

LARGEST = 1024 * 1024  # bytes: a certificate with a photo and many certifications by others is smaller
_MOST_KEYS = 50  # subkeys, and signatures of each, that we look at: each costs an encryption
_PRIVATE = (Tag.SecretKey, Tag.SecretSubkey)
_RSA = (PublicKeyAlgorithm.RSAEncryptSign, PublicKeyAlgorithm.RSAEncrypt, PublicKeyAlgorithm.RSASign)
_HYBRID = (PublicKeyAlgorithm.MLKEM768_X25519, PublicKeyAlgorithm.MLKEM1024_X448)
_REFUSED = (PublicKeyAlgorithm.DSA, PublicKeyAlgorithm.ElGamalEncrypt, PublicKeyAlgorithm.ElGamalEncryptSign)


@dataclass(frozen=True)
class _Key:
    """The primary key or a subkey with the packets that belong to it: signatures, and for the primary the user ids."""

    key: Packet
    rest: tuple[Packet, ...]

    @property
    def packets(self) -> list[Packet]:
        return [self.key, *self.rest]

    @property
    def is_hybrid(self) -> bool:
        return self.key.key_algorithm in _HYBRID

    def weakness(self) -> str | None:
        """Why it is too weak, or None. RFC 9580, 5.5.2: an RSA key's first number is its modulus."""
        if self.key.key_algorithm in _REFUSED:
            return "it is a DSA or ElGamal key: the recipient makes a new one"
        if self.key.key_algorithm in _RSA:
            start = 10 if self.key.body[0] == 6 else 6  # a version 6 key has a length of four bytes before it
            bits = int.from_bytes(self.key.body[start : start + 2])
            if bits < WEAKEST_RSA:
                return f"its RSA key has {bits} bits, of {WEAKEST_RSA} at least: the recipient makes a new one"
        return None


@dataclass(frozen=True)
class _Usable:
    key: _Key
    created: datetime
    expires: datetime | None

    def alive(self, now: datetime) -> bool:
        return self.created <= now and (self.expires is None or now < self.expires)


class OpenPgpCertificate:
    """A public key of the form OpenPGP. `str()` is its armored text; `check` says whether it can be sealed to."""

    form: ClassVar[EnvelopeForm] = OPENPGP
    kind: ClassVar[str] = "openpgp"

    def __init__(self, data: bytes) -> None:
        """Read one certificate, binary or armored; `KeyUnusable` if it is not one, is private, weak or revoked."""
        certificate = _certificate(data)
        self.fingerprint = f"OPENPGP:{certificate.fingerprint.upper()}"
        self._text = armor(bytes(certificate), ArmorKind.PublicKey)
        self._primary, subkeys = _parts(bytes(certificate))
        if certificate.is_revoked:
            raise self._unusable("it was revoked by its owner: revoke it here too, the recipient registers another")
        self._expires = self._expiry(certificate)
        keys = [usable for usable in self._usable(subkeys) if usable.key.weakness() is None]
        hybrid = [usable for usable in keys if usable.key.is_hybrid]  # beside a classical key it would protect nothing
        self._keys = hybrid or keys
        self.is_hybrid = bool(hybrid)
        if not keys:
            raise self._unusable(self._why_none(subkeys))

    @property
    def not_before(self) -> datetime:
        """The first moment at which one of its keys can be sealed to."""
        return min(usable.created for usable in self._keys)

    @property
    def not_after(self) -> datetime | None:
        """The moment from which none of its keys can be sealed to; None if that never comes."""
        ends = [usable.expires for usable in self._keys]
        last = None if None in ends else max(end for end in ends if end is not None)
        return min((end for end in (self._expires, last) if end is not None), default=None)

    def check(self, now: datetime) -> None:
        """`KeyUnusable` with the reason why nothing may be sealed to it at this moment."""
        check_time(self.fingerprint, self.not_before, self.not_after, now)
        self._alive(now)

    def sealing_packets(self, now: datetime) -> bytes:
        """The certificate with only those encryption keys that are in force at this moment."""
        self.check(now)
        keys = [usable.key for usable in self._alive(now) if usable.key is not self._primary]
        return bytes(_assembled(self._primary, keys))

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"<recipient {self.fingerprint}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpenPgpCertificate) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def _alive(self, now: datetime) -> list[_Usable]:
        alive = [usable for usable in self._keys if usable.alive(now)]
        if not alive:
            raise self._unusable("none of its encryption keys is in force: the recipient prolongs it")
        return alive

    def _expiry(self, certificate: Cert) -> datetime | None:
        try:
            return certificate.expiration
        except Exception:  # noqa: BLE001, S110 - the binding raises RuntimeError with a trace, or what it likes
            pass
        raise self._unusable("it has no valid signature of its own, or one made with SHA-1: the recipient renews it")

    def _usable(self, subkeys: Sequence[_Key]) -> Iterator[_Usable]:
        if (weakness := self._primary.weakness()) is not None:
            raise self._unusable(weakness)
        if _can_encrypt(self._primary, []):
            yield _Usable(self._primary, _created(self._primary.key), self._expires)
        for subkey in subkeys:
            if _can_encrypt(self._primary, [subkey]):
                yield _Usable(subkey, _created(subkey.key), _expiry_of(self._primary, subkey))

    def _why_none(self, subkeys: Sequence[_Key]) -> str:
        for key in (self._primary, *subkeys):
            if (weakness := key.weakness()) is not None:
                return weakness
        return "no key in it is for encryption and unrevoked: the recipient adds an encryption key"

    def _unusable(self, reason: str) -> KeyUnusable:
        return KeyUnusable(f"OpenPGP certificate {self.fingerprint}: {reason}")


def merged(old: OpenPgpCertificate, new: OpenPgpCertificate) -> OpenPgpCertificate:
    """What both say of one certificate: a prolonged expiry is taken up, a revocation is never undone.

    Errors as when it is read: `KeyUnusable` if it is revoked now.
    """
    if old.fingerprint != new.fingerprint:
        raise KeyUnusable(f"OpenPGP certificate {new.fingerprint} is not a newer form of {old.fingerprint}")
    both = Cert.from_bytes(str(old).encode()).merge(Cert.from_bytes(str(new).encode()))
    return OpenPgpCertificate(bytes(both))


def _certificate(data: bytes) -> Cert:
    """The binding's errors hold a trace of its own, so that they are never chained."""
    if len(data) > LARGEST:
        raise KeyUnusable("this OpenPGP certificate is larger than 1 MiB: export it without others' certifications")
    try:
        if any(packet.tag in _PRIVATE for packet in PacketPile.from_bytes(data)):
            found = None
        else:
            found = Cert.split_bytes(data)
    except Exception:  # noqa: BLE001 - the binding raises RuntimeError, or what it likes
        found = []
    if found is None:
        raise private_key_refused()
    if len(found) != 1:
        raise KeyUnusable("this is not exactly one OpenPGP certificate: export one, with gpg --export FINGERPRINT")
    return found[0]


def _parts(certificate: bytes) -> tuple[_Key, list[_Key]]:
    """The primary key with its user ids, and every subkey; what follows an unknown packet goes with it."""
    groups: list[list[Packet]] = []
    keep = True
    for packet in PacketPile.from_bytes(certificate):
        if packet.tag in (Tag.PublicKey, Tag.PublicSubkey):
            groups.append([packet])
            keep = True
        elif packet.tag in (Tag.UserID, Tag.Signature):
            keep = keep or packet.tag == Tag.UserID
            if keep:
                groups[-1].append(packet)
        else:
            keep = False  # a user attribute (a photo), with the signatures on it
    keys = [_Key(group[0], tuple(group[1:])) for group in groups]
    if len(keys) > _MOST_KEYS + 1:
        raise KeyUnusable(f"this OpenPGP certificate has more than {_MOST_KEYS} subkeys: export a smaller one")
    return keys[0], keys[1:]


def _assembled(primary: _Key, subkeys: Sequence[_Key]) -> Cert:
    return Cert.from_packets([*primary.packets, *(packet for subkey in subkeys for packet in subkey.packets)])


def _can_encrypt(primary: _Key, subkeys: Sequence[_Key]) -> bool:
    """Whether Sequoia makes a message with only these keys; it also does with expired ones, see `_expiry_of`."""
    try:
        encrypt(b"", [_assembled(primary, subkeys)], armor=False)
    except Exception:  # noqa: BLE001 - the binding raises RuntimeError, or what it likes
        return False
    return True


def _expiry_of(primary: _Key, subkey: _Key) -> datetime | None:
    """As the newest binding says that Sequoia accepts (RFC 9580, 5.2.3.10): a forged one makes no message."""
    others = tuple(packet for packet in subkey.rest if not _binds(packet))
    newest_first = sorted(filter(_binds, subkey.rest), key=_signed, reverse=True)
    for binding in newest_first[:_MOST_KEYS]:
        if _can_encrypt(primary, [_Key(subkey.key, (binding, *others))]):
            period = binding.key_validity_period
            return None if not period else _created(subkey.key) + period
    return _created(subkey.key)  # nothing says that it is in force


def _binds(packet: Packet) -> bool:
    return packet.signature_type == SignatureType.SubkeyBinding


def _signed(packet: Packet) -> datetime:
    created = packet.signature_created
    assert created is not None, "Sequoia accepts no signature without a time (RFC 9580, 5.2.3.11)"
    return created


def _created(packet: Packet) -> datetime:
    created = packet.key_created
    assert created is not None, "only packets of keys are asked"
    return created
