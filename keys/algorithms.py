"""Every cryptographic algorithm that we use, for what, and where: the fixed part of the crypto inventory (BIO2 8.24).

`docs/crypto-inventory.md` is made from it. A test holds it complete: what `keys/` imports from the cryptographic
library is named in `api` here. `gla keys inventory` adds the keys themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys import mldsa
from keys.published import SECRET_KIND


@dataclass(frozen=True)
class Algorithm:
    """`quantum`: what a quantum computer means for it. `api`: the names under which the library has it."""

    name: str
    standard: str
    purpose: str
    where: str
    quantum: str
    api: tuple[str, ...] = ()


_SAFE = "safe"
_BROKEN = "broken: forgery from then on"
_READ_LATER = "broken, also for what was recorded before"

ALGORITHMS = (
    Algorithm("ML-KEM-768 with X25519 (HPKE)", "FIPS 203, RFC 9180, C2SP age", "seal to age1pq1 keys (the rule)",
              "keys/envelope", _SAFE, ("hpke", "MLKEM768PrivateKey", "MLKEM768PublicKey")),
    Algorithm("X25519", "RFC 7748, C2SP age", "seal to age1 keys", "keys/envelope", _READ_LATER,
              ("X25519PrivateKey", "X25519PublicKey")),
    Algorithm("ChaCha20-Poly1305", "RFC 8439", "encrypt deliveries in chunks; wrap file keys", "keys/envelope", _SAFE,
              ("ChaCha20Poly1305",)),
    Algorithm("HKDF and HMAC with SHA-256", "RFC 5869, RFC 2104", "derive keys; authenticate headers", "keys/envelope",
              _SAFE, ("HKDF", "HMAC")),
    Algorithm("AES-256-GCM", "FIPS 197, SP 800-38D", "encrypt what a validation puts on disk for a while",
              "keys/scratch.py", _SAFE, ("AESGCM",)),
    Algorithm("AES-256 as a keyed permutation, AES-256-GCM", "FIPS 197, SP 800-38D",
              "digest and seal the people in a delivery", "keys/private/people.py", _SAFE,
              ("AES256", "AESGCM", "Cipher", "algorithms", "modes")),
    Algorithm("HKDF-Expand with SHA-256", "RFC 5869", "derive the key of each set of people, also inside a token",
              "keys/private/derived.py, keys/private/token.py", _SAFE, ("HKDFExpand", "SHA256")),
    Algorithm("CMS: AES-256-CBC, RSA PKCS #1 v1.5", "RFC 5652, RFC 8017", "seal to X.509 certificates",
              "keys/cms", _READ_LATER, ("AES256", "PKCS7EnvelopeBuilder", "pkcs7_decrypt_der", "pkcs7_decrypt_pem")),
    Algorithm("OpenPGP", "RFC 9580", "seal to OpenPGP certificates; Sequoia chooses what a certificate allows",
              "keys/openpgp", "as the certificate"),
    Algorithm("OpenPGP: Ed25519", "RFC 9580", "sign inside OpenPGP messages",
              "keys/private/openpgp_signing.py", _BROKEN),
    Algorithm("Ed25519", "RFC 8032, OpenSSH PROTOCOL.sshsig, C2SP signed-note",
              "sign agreements, manifests, checkpoints and keys", "keys/private/signing.py", _BROKEN,
              ("Ed25519PrivateKey", "Ed25519PublicKey", "ed25519")),
    Algorithm("ECDSA P-256", "FIPS 186-5", "sign the same, in tokens without Ed25519", "keys/private/token.py", _BROKEN,
              ("ec", "SECP256R1", "EllipticCurvePublicKey", "encode_dss_signature")),
    Algorithm("ECDSA P-384 and P-521, RSA from 3072 bits", "FIPS 186-5, RFC 8017", "accept recipients' signatures",
              "keys/sshsig.py", _BROKEN, ("rsa", "RSAPublicKey", "RSAPrivateKey", "padding")),
    Algorithm("ML-DSA-65", "FIPS 204", "sign manifests a second time, by configuration", "keys/private/mldsa.py", _SAFE,
              ("MLDSA65PrivateKey", "MLDSA65PublicKey")),
    Algorithm("SHA-256, SHA-384, SHA-512", "FIPS 180-4, RFC 6962",
              "digest documents, files and parts; the ledger's tree", "core/canonical.py, ledger/merkle.py", _SAFE,
              ("hashes",)),
    Algorithm("SHAKE-256", "FIPS 202", "expand the seed of an age1pq1 key", "keys/private/identities.py", _SAFE),
    Algorithm("SSH: ML-KEM-768 with X25519, AES-GCM", "RFC 4253, RFC 5647", "transport to and from the drop zone",
              "core/ssh.py", "safe where both sides have ML-KEM"),
)  # fmt: skip

_BY_KIND = {
    "ssh-ed25519": "Ed25519",
    "ecdsa-sha2-nistp256": "ECDSA P-256",
    "ecdsa-sha2-nistp384": "ECDSA P-384",
    "ecdsa-sha2-nistp521": "ECDSA P-521",
    "ssh-rsa": "RSA",
    "age-x25519": "X25519",
    "age-hybrid": "ML-KEM-768 with X25519",
    "openpgp": "OpenPGP certificate",
    "x509": "X.509 certificate",
    mldsa.KIND: "ML-DSA-65",
    SECRET_KIND: "HMAC secret of 256 bits",
}


def algorithm_of(line: str) -> str:
    """The algorithm of a public key as text, or of a kind of sealing key; the kind itself where it is not known."""
    if line.startswith("OPENPGP:"):  # our own; the line is its fingerprint
        return "Ed25519 (OpenPGP)"
    if line.startswith("age1"):
        return _BY_KIND["age-hybrid" if line.startswith("age1pq1") else "age-x25519"]
    kind = line.split(" ", maxsplit=1)[0]
    return _BY_KIND.get(kind, kind)


def as_markdown() -> str:
    """The table for people, without the keys."""
    rows = [
        "# Crypto inventory\n",
        "Every algorithm in use, for what, and where. The keys themselves, with owner, place, from and until:",
        "`gla keys inventory` (`--json`, `--markdown`).\n",
        "| algorithm | standard | used to | where | with a quantum computer |",
        "|---|---|---|---|---|",
    ]
    rows += [f"| {it.name} | {it.standard} | {it.purpose} | {it.where} | {it.quantum} |" for it in ALGORITHMS]
    return "\n".join(rows) + "\n"
