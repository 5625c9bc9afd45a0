"""Our ML-DSA-65 private key, from a PKCS#8 file or variable, and its signatures (FIPS 204, hedged)."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from core.errors import KeyUnusable
from keys.mldsa import MldsaPublicKey, public_line
from keys.private.secret import Secret


class MldsaSigner:
    """Holds one private key. `repr` shows the public fingerprint only."""

    def __init__(self, key: MLDSA65PrivateKey) -> None:
        self._key = key
        self.public_key = MldsaPublicKey(public_line(key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> MldsaSigner:
        return cls(MLDSA65PrivateKey.generate())

    def sign(self, message: bytes, namespace: str) -> bytes:
        """3309 bytes, valid for `namespace` only, which is the context string."""
        if not namespace:
            raise ValueError("a signature needs a namespace")
        return self._key.sign(message, namespace.encode())

    def private_file(self) -> bytes:
        """The content of a PKCS#8 PEM file, without a passphrase."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def __repr__(self) -> str:
        return f"<ML-DSA signer {self.public_key.fingerprint}>"


def mldsa_signer_from(secret: Secret, place: str) -> MldsaSigner:
    """The signer of a PKCS#8 private key; `KeyUnusable` names the `place` that holds something else."""
    try:
        key = load_pem_private_key(secret.reveal(), password=None)
    except Exception:  # noqa: BLE001  foreign and many; none of them may carry the content further
        key = None
    if not isinstance(key, MLDSA65PrivateKey):
        raise KeyUnusable(f"{place} is not an ML-DSA-65 private key (PKCS#8, PEM) without a passphrase")
    return MldsaSigner(key)
