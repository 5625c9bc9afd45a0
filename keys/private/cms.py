"""Opening CMS messages (RFC 5652, EnvelopedData) with an RSA private key and its X.509 certificate, in memory.

The form has no integrity of its own (AES-CBC): check the digest of the file first. What is larger than what we seal is
refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs7 import pkcs7_decrypt_der, pkcs7_decrypt_pem

from core.errors import EnvelopeError, KeyUnusable
from keys.cms.sealing import LIMIT
from keys.envelope.errors import NoMatchingKey, PayloadInvalid
from keys.envelope.reading import BinaryReader
from keys.private.passphrase import AskPassphrase

_OVERHEAD = 1024 * 1024  # bytes: what is around the content, with many recipients
_LARGEST = 2 * (LIMIT + _OVERHEAD)  # bytes: the text form (PEM) is a third larger


class X509PrivateKey:
    """A private key with its certificate; `repr` shows the certificate's fingerprint only."""

    def __init__(self, data: bytes, ask: AskPassphrase) -> None:
        """Read both from PEM; the passphrase is asked for only if there is one. Raises `KeyUnusable`."""
        self._certificate, self._key = _certificate(data), _private_key(data, ask)
        if self._certificate.public_key() != self._key.public_key():
            raise KeyUnusable("the certificate in this key file does not belong to its private key")

    @property
    def fingerprint(self) -> str:
        return f"X509:{self._certificate.fingerprint(hashes.SHA256()).hex()}"

    def __repr__(self) -> str:
        return f"<private key of {self.fingerprint}>"

    def pieces(self, source: BinaryReader) -> Iterator[bytes]:
        """The content, whole; `NoMatchingKey` for another's message, `PayloadInvalid` for a defect."""
        data = b""
        while len(data) <= _LARGEST and (more := source.read(_LARGEST)):
            data += more
        if len(data) > _LARGEST:
            raise PayloadInvalid(f"the CMS file is over {LIMIT // 1024**2} MiB: open it with openssl cms -decrypt")
        yield self._opened(data)

    def _opened(self, data: bytes) -> bytes:
        defect: EnvelopeError
        try:
            if data.lstrip().startswith(b"-----BEGIN"):  # OpenSSL's two names for one form
                return pkcs7_decrypt_pem(data.replace(b" CMS-----", b" PKCS7-----"), self._certificate, self._key, [])
            return pkcs7_decrypt_der(data, self._certificate, self._key, [])
        except Exception as error:  # noqa: BLE001 - ValueError, UnsupportedAlgorithm, or another: it does not open
            another = "No recipient found" in str(error)
        if another:
            defect = NoMatchingKey("none of the given private keys opens this file: it was sealed for another key")
        else:
            defect = PayloadInvalid("the CMS file is damaged, or of a form that we do not open: fetch it again")
        raise defect


def _certificate(data: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(data)
    except Exception:  # noqa: BLE001, S110 - ValueError, InvalidVersion
        pass
    raise KeyUnusable("a key file for CMS holds the private key and its certificate, both in PEM: put both in one file")


def _private_key(data: bytes, ask: AskPassphrase) -> RSAPrivateKey:
    key: object = None
    try:
        key = load_pem_private_key(data, None)
    except TypeError:  # it has a passphrase
        protected = True
    except Exception:  # noqa: BLE001 - ValueError, UnsupportedAlgorithm
        protected = False
    else:
        protected = False
    if protected:
        passphrase = ask("The private key of the certificate").encode()
        with suppress(Exception):  # a wrong passphrase shows in many ways
            key = load_pem_private_key(data, passphrase)
    if not isinstance(key, RSAPrivateKey):
        raise KeyUnusable("the key file has no RSA private key in PEM, or its passphrase is another one")
    return key
