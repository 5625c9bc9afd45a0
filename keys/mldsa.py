"""ML-DSA-65 (FIPS 204): our second signature on a delivery, which a quantum computer cannot forge. Public keys only.

A public key is one line, `ml-dsa-65 BASE64` over its 1952 bytes. The purpose is the context string of FIPS 204, so a
signature of 3309 bytes is checked by any program with ML-DSA: `openssl pkeyutl -verify -pkeyopt context-string:...`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PublicKey

from core.errors import KeyUnusable
from keys.verification import Reason, Verification

KIND = "ml-dsa-65"
_KEY_BYTES = 1952
_SIGNATURE_BYTES = 3309


@dataclass(frozen=True)
class MldsaPublicKey:
    """A public key; `line` is its only text, so equal keys are equal."""

    line: str

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.line.split(" ")[1])

    @property
    def fingerprint(self) -> str:
        """`SHA256:` and unpadded base64 over the raw key, in the style of SSH."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.raw).digest()).decode().rstrip("=")

    def judge(self, signature: bytes, message: bytes, namespace: str) -> Verification:
        """Whether this key signed `message` for `namespace`, or why not. Never raises."""
        if len(signature) != _SIGNATURE_BYTES or not namespace:
            return Verification(Reason.MALFORMED)
        try:
            MLDSA65PublicKey.from_public_bytes(self.raw).verify(signature, message, namespace.encode())
        except InvalidSignature:
            return Verification(Reason.NOT_GENUINE)
        except Exception:  # noqa: BLE001  deny, whatever it was
            return Verification(Reason.NOT_CHECKED)
        return Verification(Reason.VALID, self.line)


def public_line(raw: bytes) -> str:
    return f"{KIND} {base64.b64encode(raw).decode()}"


def parse_mldsa_key(line: str) -> MldsaPublicKey:
    """Read `ml-dsa-65 BASE64`; `KeyUnusable` never shows the text."""
    try:
        kind, encoded = line.split(" ")
        raw = binascii.a2b_base64(encoded, strict_mode=True)
        MLDSA65PublicKey.from_public_bytes(raw)
        well_formed = kind == KIND and len(raw) == _KEY_BYTES and public_line(raw) == line
    except Exception:  # noqa: BLE001  foreign and many; none of them may carry the text further
        well_formed = False
    if not well_formed:
        raise KeyUnusable(f"this is not a public key of the form {KIND} BASE64")
    return MldsaPublicKey(line)
