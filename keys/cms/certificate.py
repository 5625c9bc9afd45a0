"""An X.509 certificate that a file can be sealed to with CMS: RSA for encryption, strong, and in force.

It is trusted as any other key is: its fingerprint was compared with the recipient and stands in the agreement.
Its chain is not followed and no revocation list is fetched: a recipient who revokes it tells us, and we revoke it here.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from core.errors import KeyUnusable
from keys.validity import WEAKEST_RSA, check_time, private_key_refused
from schemas.envelopes import CMS, EnvelopeForm

LARGEST = 64 * 1024  # bytes of one certificate
_PEM_START = b"-----BEGIN CERTIFICATE-----"
_PKCS12 = re.compile(rb"\x30(?:[\x00-\x7f]|\x81.|\x82..|\x83...|\x84....|\x80)\x02\x01\x03", re.DOTALL)  # RFC 7292, 4


class X509Recipient:
    """A public key of the form X.509. `str()` is its PEM text; `check` says whether it can be sealed to now."""

    form: ClassVar[EnvelopeForm] = CMS
    kind: ClassVar[str] = "x509"
    is_hybrid: ClassVar[bool] = False

    def __init__(self, data: bytes) -> None:
        """Read one certificate, DER or PEM; `KeyUnusable` if it is not one, is private, weak or not for encryption."""
        self.certificate = _certificate(data)
        self.fingerprint = f"X509:{self.certificate.fingerprint(hashes.SHA256()).hex()}"
        key = _public_key(self.certificate)
        if not isinstance(key, RSAPublicKey):
            raise self._unusable("CMS is made for RSA keys only: the recipient gives an RSA certificate, or an age key")
        if key.key_size < WEAKEST_RSA:
            raise self._unusable(
                f"its RSA key has {key.key_size} bits, of {WEAKEST_RSA} at least: the recipient orders a new one"
            )
        self._check_purpose()

    @property
    def not_before(self) -> datetime:
        return self.certificate.not_valid_before_utc

    @property
    def not_after(self) -> datetime:
        return self.certificate.not_valid_after_utc

    def check(self, now: datetime) -> None:
        """`KeyUnusable` with the reason why nothing may be sealed to it at this moment."""
        check_time(self.fingerprint, self.not_before, self.not_after, now)

    def __str__(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def __repr__(self) -> str:
        return f"<recipient {self.fingerprint}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, X509Recipient) and other.certificate == self.certificate

    def __hash__(self) -> int:
        return hash(self.certificate)

    def _check_purpose(self) -> None:
        """RFC 5280, 4.2.1.3: a certificate that says what its key is for must say keyEncipherment."""
        try:
            found = {type(each.value): each.value for each in self.certificate.extensions}
        except Exception:  # noqa: BLE001 - ValueError, DuplicateExtension: the library's own are no ValueError
            found = None
        if found is None:
            raise self._unusable("its extensions cannot be read: the recipient orders a new one")
        usage, basic = found.get(x509.KeyUsage), found.get(x509.BasicConstraints)
        if isinstance(usage, x509.KeyUsage) and not usage.key_encipherment:
            raise self._unusable("its key is not for encryption (keyEncipherment): the recipient gives another")
        if isinstance(basic, x509.BasicConstraints) and basic.ca and not isinstance(usage, x509.KeyUsage):
            raise self._unusable("it belongs to a certificate authority: give the recipient's own")

    def _unusable(self, reason: str) -> KeyUnusable:
        return KeyUnusable(f"X.509 certificate {self.fingerprint}: {reason}")


def _certificate(data: bytes) -> x509.Certificate:
    if b"PRIVATE KEY" in data or _is_private(data):
        raise private_key_refused()
    if len(data) > LARGEST or data.count(_PEM_START) > 1:
        raise KeyUnusable("this is more than one X.509 certificate: give the recipient's own, without those above it")
    try:
        return x509.load_pem_x509_certificate(data) if _PEM_START in data else x509.load_der_x509_certificate(data)
    except Exception:  # noqa: BLE001, S110 - ValueError, InvalidVersion
        pass
    raise KeyUnusable("this is not an X.509 certificate in PEM or DER")


def _public_key(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except Exception:  # noqa: BLE001 - ValueError, UnsupportedAlgorithm: a key that is none, or of a kind nobody knows
        return None


def _is_private(data: bytes) -> bool:
    """Whether it is a private key without a text form around it: PKCS #1, #8 or #12, protected or not."""
    if data.startswith(_PEM_START):
        return False
    if _PKCS12.match(data):
        return True
    try:
        load_der_private_key(data, None)
    except TypeError:  # it has a passphrase
        return True
    except Exception:  # noqa: BLE001 - ValueError, UnsupportedAlgorithm: not one
        return False
    return True
