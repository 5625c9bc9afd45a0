"""What a key of each role is made of, in a file or a variable: how it is generated, and how it is read.

========================================= ===========================================================
agreement-seal, manifest, ledger, dropzone-host an OpenSSH private key, Ed25519
manifest-mldsa                            a PKCS#8 private key, ML-DSA-65
intake                                    age identities, the newest first; earlier ones still open
person-digests                            secrets of 32 bytes in hexadecimal, the newest first
openpgp                                   armored OpenPGP private keys, the newest first
========================================= ===========================================================
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

from core.errors import KeyUnusable
from keys.private.derived import DerivingKey, LocalDerivingKey
from keys.private.identities import Identity, generate_identity, parse_identities
from keys.private.mldsa import MldsaSigner, mldsa_signer_from
from keys.private.openpgp_signing import OpenPgpSigners, generate_openpgp_key, openpgp_signers_from
from keys.private.secret import Secret
from keys.private.signing import Signer, SigningKey, signer_from
from keys.roles import Role

_SECRET_BYTES = 32


@dataclass(frozen=True)
class Intake:
    """The identities that open what is sealed to us; the first one's recipient is the published one."""

    identities: tuple[Identity, ...]


@dataclass(frozen=True)
class DigestKeys:
    """The keys that digests of persons are made with, the one of today first; the others may be elsewhere than it."""

    keys: tuple[DerivingKey, ...]


Material = SigningKey | MldsaSigner | Intake | DigestKeys | OpenPgpSigners


def generate(role: Role) -> bytes:
    """The content of a new key file."""
    if role is Role.MANIFEST_MLDSA:
        return MldsaSigner.generate().private_file()
    if role is Role.INTAKE:
        return generate_identity("hybrid").secret_text().encode() + b"\n"
    if role is Role.PERSON_DIGESTS:
        return secrets.token_hex(_SECRET_BYTES).encode() + b"\n"
    if role is Role.OPENPGP:
        return generate_openpgp_key()
    return Signer.generate().private_file()


def read(role: Role, secret: Secret, place: str) -> Material:
    """The key that is in `secret`; `KeyUnusable` names the `place` that holds something else."""
    if role is Role.MANIFEST_MLDSA:
        return mldsa_signer_from(secret, place)
    if role is Role.INTAKE:
        return Intake(tuple(parse_identities(secret.text())))
    if role is Role.PERSON_DIGESTS:
        return DigestKeys(_digest_keys(secret, place))
    if role is Role.OPENPGP:
        return openpgp_signers_from(secret, place)
    return signer_from(secret, place)


def renewed(role: Role, new: bytes, old: Secret) -> bytes:
    """The content that takes the place of `old`, with it where something old still needs it."""
    return new + old.reveal() if role in (Role.INTAKE, Role.PERSON_DIGESTS, Role.OPENPGP) else new


def public_line(material: Material) -> str:
    """The public half as the history tells it."""
    if isinstance(material, Intake):
        return str(material.identities[0].recipient)
    if isinstance(material, DigestKeys):
        return material.keys[0].name
    if isinstance(material, OpenPgpSigners):
        return material.signers[0].fingerprint
    return material.public_key.line


def is_published_as(material: Material, line: str) -> bool:
    """Whether a line of the history is this key's."""
    if isinstance(material, DigestKeys):
        return material.keys[0].answers_to(line)
    return line == public_line(material)


def _digest_keys(secret: Secret, place: str) -> tuple[DerivingKey, ...]:
    lines = secret.text().split()
    if not lines or not all(re.fullmatch(r"[0-9a-f]{64}", line) for line in lines):
        raise KeyUnusable(f"{place} does not hold secrets of 32 bytes in hexadecimal, one a line")
    return tuple(LocalDerivingKey(Secret(bytes.fromhex(line))) for line in lines)
