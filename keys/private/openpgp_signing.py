"""Our own OpenPGP keys, which sign inside the messages to OpenPGP recipients, so that gpg and sq show who sent them.

It is the manifest's signature that protects a delivery; this one is for recipients whose programs look for it. A key is
known by its fingerprint, which the agreement names. Earlier keys stay in the file, since earlier agreements name them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import KeyUnusable
from keys.private.secret import Secret

if TYPE_CHECKING:
    from pysequoia.packet import Packet

_BLOCK = re.compile(r"-----BEGIN PGP PRIVATE KEY BLOCK-----.*?-----END PGP PRIVATE KEY BLOCK-----", re.DOTALL)
_USER = "Gegevensleveringen (gla)"


@dataclass(frozen=True)
class OpenPgpSigner:
    """One key: its fingerprint as agreements name it, its public certificate (armored), and the key itself."""

    fingerprint: str
    certificate: str
    secret: Secret


@dataclass(frozen=True)
class OpenPgpSigners:
    """The key of today first."""

    signers: tuple[OpenPgpSigner, ...]

    def named(self, fingerprint: str) -> OpenPgpSigner:
        """The key of this fingerprint; `KeyUnusable` if it is not ours."""
        for signer in self.signers:
            if signer.fingerprint == fingerprint:
                return signer
        raise KeyUnusable(f"{fingerprint} is not an OpenPGP key of ours: offer a new agreement, or restore the key")


def generate_openpgp_key() -> bytes:
    """A new key without expiry, as armored text: Ed25519, of the version that gpg reads too, for signing only."""
    from pysequoia import Profile, Tsk  # noqa: PLC0415 - it is heavy, and few senders have such recipients

    made = Tsk.generate(_USER, profile=Profile.RFC4880, validity_seconds=None)
    return str(Tsk.from_packets(list(_for_signing(bytes(made))))).encode()


def openpgp_signers_from(secret: Secret, place: str) -> OpenPgpSigners:
    """Read what `generate_openpgp_key` made, one key or several; `KeyUnusable` names the `place` of anything else."""
    signers = [_signer(block) for block in _BLOCK.findall(secret.text())]
    if not signers or None in signers:
        raise KeyUnusable(f"{place} does not hold OpenPGP private keys without a passphrase that can sign")
    return OpenPgpSigners(tuple(signer for signer in signers if signer is not None))


def _signer(block: str) -> OpenPgpSigner | None:
    from pysequoia import Tsk  # noqa: PLC0415

    try:
        key = Tsk.from_bytes(block.encode())
        key.signer()
        certificate = key.extract_certificate()
        fingerprint = f"OPENPGP:{certificate.fingerprint.upper()}"
        return OpenPgpSigner(fingerprint, str(certificate), Secret(bytes(key)))
    except Exception:  # noqa: BLE001 - the binding raises RuntimeError, or what it likes
        return None


def _for_signing(key: bytes) -> Iterator[Packet]:
    """All packets but the subkey for encryption, which the generator always adds: nobody is to seal to this key."""
    from pysequoia.packet import PacketPile, PublicKeyAlgorithm, Tag  # noqa: PLC0415

    keep = True
    for packet in PacketPile.from_bytes(key):
        if packet.tag == Tag.SecretSubkey:
            keep = packet.key_algorithm != PublicKeyAlgorithm.ECDH
        if keep:
            yield packet
