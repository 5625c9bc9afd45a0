"""Sealing a CMS message (RFC 5652, EnvelopedData, AES-256) for one or more X.509 certificates.

The builder of `cryptography` takes the content whole, so that it is kept in memory and has a limit. The form has no
integrity of its own (AES-CBC): whoever opens it first checks its digest, which stands in the manifest that we signed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import PKCS7EnvelopeBuilder, PKCS7Options

from core.errors import KeyUnusable, UnusableInput
from keys.cms.certificate import X509Recipient
from keys.envelope.seal import BinaryWriter, write_whole
from keys.whole import WholeOrNothing

LIMIT = 64 * 1024 * 1024  # bytes of content; at its peak the memory is some five times that


class CmsSealer(WholeOrNothing):
    """A write-only binary file; `KeyUnusable` for certificates not in force, `UnusableInput` beyond `LIMIT`."""

    def __init__(self, target: BinaryWriter, recipients: Sequence[X509Recipient], now: datetime) -> None:
        super().__init__()
        if not recipients:
            raise KeyUnusable("there is no public key to seal to")
        for recipient in recipients:
            recipient.check(now)
        self._target = target
        self._recipients = recipients
        self._content = bytearray()

    def _take(self, data: memoryview) -> None:
        if len(self._content) + len(data) > LIMIT:
            raise UnusableInput(
                f"a file for an X.509 certificate (CMS) may hold {LIMIT // 1024**2} MiB, and this one is larger: agree "
                "on parts (gla.parts), or on an age key, which has no limit"
            )
        self._content += data

    def _finish(self) -> None:
        builder = PKCS7EnvelopeBuilder().set_data(bytes(self._content)).set_content_encryption_algorithm(AES256)
        self._drop()
        for recipient in self._recipients:
            builder = builder.add_recipient(recipient.certificate)
        write_whole(self._target, builder.encrypt(Encoding.DER, [PKCS7Options.Binary]))

    def _drop(self) -> None:
        self._content = bytearray()
