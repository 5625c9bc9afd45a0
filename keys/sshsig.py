"""SSH signatures over documents (OpenSSH's PROTOCOL.sshsig): reading public keys and verifying; never a private key.

Outsiders check ours with `ssh-keygen -Y verify`, and recipients sign with the SSH key that they have. A namespace
binds a signature to one purpose: one made for a receipt is worthless on an agreement. Accepted: Ed25519, ECDSA on the
NIST curves and RSA from 3072 bits; SHA-256 and SHA-512 over the message. Nothing with SHA-1, DSA, certificates or
hardware-bound (`sk-`) keys. Verification tells who signed, not whether that key may: the caller compares it with a
key that it trusts (`verify_by`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from core.discreet import discreet
from core.errors import KeyUnusable, SignerUnknown
from keys.verification import Reason, Verification

_MAGIC = b"SSHSIG"
_VERSION = 1
_BEGIN = "-----BEGIN SSH SIGNATURE-----"
_END = "-----END SSH SIGNATURE-----"
_COLUMNS = 70  # as ssh-keygen wraps it
_TEXT_LIMIT = 16 * 1024  # characters of a key or a signature; RSA with 16,384 bits needs 6,000
_RSA_MINIMUM = 3072  # bits, NCSC-NL and BIO2
_RSA_MAXIMUM = 16384  # bits, OpenSSH's own limit; more would only cost time
_KEY_KINDS = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")
_RSA_HASHES: dict[bytes, hashes.HashAlgorithm] = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
_CURVE_HASHES: dict[int, hashes.HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}


class Namespace(StrEnum):
    """What a signature is for."""

    AGREEMENT = "gla-agreement"
    MANIFEST = "gla-manifest"
    RECEIPT = "gla-receipt"
    POSSESSION = "gla-possession"
    ROTATION = "gla-rotation"
    LEDGER = "gla-ledger"
    KEY_HISTORY = "gla-key-history"
    PARTICIPANTS = "gla-participants"


@dataclass(frozen=True)
class SshPublicKey:
    """An SSH public key that we accept. `line` is `TYPE BASE64` without a comment; equal keys are equal."""

    line: str

    @property
    def blob(self) -> bytes:
        """The key in SSH's wire form (RFC 4253, section 6.6)."""
        return base64.b64decode(self.line.split(" ")[1])

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` shows it: `SHA256:` and unpadded base64."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")


@discreet
def parse_public_key(line: str) -> SshPublicKey:
    """Read one line of a `.pub` file, or of `authorized_keys` without options; `KeyUnusable` never shows the text."""
    if "PRIVATE KEY" in line:
        raise KeyUnusable("this is a PRIVATE key: treat it as leaked, make a new one, and give only the .pub file")
    words = line.split(maxsplit=2)
    if len(words) < 2 or len(line) > _TEXT_LIMIT or words[0] not in _KEY_KINDS:
        raise KeyUnusable(f"this is not an SSH public key of one of the kinds {', '.join(_KEY_KINDS)}")
    key = SshPublicKey(f"{words[0]} {words[1]}")
    _loaded(key)
    return key


def judge(signature: str, message: bytes, namespace: str) -> Verification:
    """Whether somebody's key signed `message` for `namespace`, and whose, or why not. Never raises."""
    return _judged(signature, lambda name: hashlib.new(name, message).digest(), namespace)


def judge_digests(signature: str, digests: Mapping[str, bytes], namespace: str) -> Verification:
    """The same for a file that was not kept: `digests` has its SHA-256 and SHA-512, by the names of hashlib."""
    return _judged(signature, digests.__getitem__, namespace)


def _judged(signature: str, digest: Callable[[str], bytes], namespace: str) -> Verification:
    try:
        return Verification(Reason.VALID, _verified(signature, digest, namespace).line)
    except _Refused as refusal:
        return Verification(refusal.reason)
    except InvalidSignature:
        return Verification(Reason.NOT_GENUINE)
    except KeyUnusable:
        return Verification(Reason.UNACCEPTED)
    except Exception:  # noqa: BLE001  whatever goes wrong while reading a stranger's bytes is a refusal
        return Verification(Reason.MALFORMED)


def verify(signature: str, message: bytes, namespace: str) -> SshPublicKey:
    """The key whose owner signed `message` for `namespace`; raises `SignerUnknown` for any defect at all."""
    judged = judge(signature, message, namespace)
    judged.require(f"this is not a valid SSH signature of the document for {namespace}")
    return SshPublicKey(str(judged.key))


def verify_by(signature: str, message: bytes, namespace: str, fingerprint: str) -> SshPublicKey:
    """As `verify`, and only by the key with this fingerprint."""
    key = verify(signature, message, namespace)
    if not hmac.compare_digest(key.fingerprint.encode(), fingerprint.encode()):
        raise SignerUnknown(f"the document is signed with {key.fingerprint}, not with the expected key {fingerprint}")
    return key


def signed_data(message: bytes, namespace: str, hash_name: str = "sha512") -> bytes:
    """The bytes that are actually signed; `hash_name` is sha256 or sha512."""
    return _signed_digest(hashlib.new(hash_name, message).digest(), namespace, hash_name)


def _signed_digest(digest: bytes, namespace: str, hash_name: str) -> bytes:
    return _MAGIC + b"".join(map(pack, (namespace.encode(), b"", hash_name.encode(), digest)))


def armored(key: SshPublicKey, namespace: str, signature: bytes, hash_name: str = "sha512") -> str:
    """The text of a signature file; `signature` is in SSH's wire form."""
    fields = (key.blob, namespace.encode(), b"", hash_name.encode(), signature)
    text = base64.b64encode(_MAGIC + _VERSION.to_bytes(4, "big") + b"".join(map(pack, fields))).decode()
    lines = [text[start : start + _COLUMNS] for start in range(0, len(text), _COLUMNS)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def ecdsa_signature(r: int, s: int) -> bytes:
    """The two numbers of an ECDSA signature in SSH's form (RFC 5656, section 3.1.2)."""
    return pack(_multiple_precision(r)) + pack(_multiple_precision(s))


def _multiple_precision(number: int) -> bytes:
    """A positive `mpint` (RFC 4251, section 5): the first bit is a sign."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def pack(data: bytes) -> bytes:
    """An SSH string (RFC 4251, section 5): length and bytes."""
    return len(data).to_bytes(4, "big") + data


def _unpack(data: bytes, count: int) -> list[bytes]:
    """Exactly `count` SSH strings and nothing after them."""
    fields = []
    for _ in range(count):
        end = 4 + int.from_bytes(data[:4], "big")
        if len(data) < end:
            raise ValueError("cut off")
        fields.append(data[4:end])
        data = data[end:]
    if data:
        raise ValueError("something after the end")
    return fields


class _Refused(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__()
        self.reason = reason


def _verified(signature: str, digest: Callable[[str], bytes], namespace: str) -> SshPublicKey:
    blob = _dearmored(signature)
    head = _MAGIC + _VERSION.to_bytes(4, "big")
    if not blob.startswith(head):
        raise ValueError("not a version 1 signature")
    key_blob, signed_namespace, reserved, hash_name, inner = _unpack(blob[len(head) :], 5)
    if not namespace or signed_namespace != namespace.encode():
        raise _Refused(Reason.ANOTHER_PURPOSE)
    if hash_name not in (b"sha256", b"sha512") or reserved:
        raise _Refused(Reason.UNACCEPTED)
    kind = key_blob[4 : 4 + int.from_bytes(key_blob[:4], "big")].decode("ascii")
    key = parse_public_key(f"{kind} {base64.b64encode(key_blob).decode()}")
    algorithm, raw = _unpack(inner, 2)
    _check(key, algorithm, raw, _signed_digest(digest(hash_name.decode()), namespace, hash_name.decode()))
    return key


def _dearmored(text: str) -> bytes:
    if len(text) > _TEXT_LIMIT:
        raise ValueError("too long")
    first, *lines, last = text.strip().splitlines()
    if (first, last) != (_BEGIN, _END):
        raise ValueError("no signature file")
    blob = binascii.a2b_base64("".join(lines), strict_mode=True)
    if base64.b64encode(blob).decode() != "".join(lines):
        raise ValueError("not canonical")
    return blob


def _check(key: SshPublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
    """Raises an exception unless `signature` is genuine and of the algorithm that fits the key."""
    loaded = _loaded(key)
    accepted = _RSA_HASHES if isinstance(loaded, rsa.RSAPublicKey) else (key.line.split(" ")[0].encode(),)
    if algorithm not in accepted:
        raise _Refused(Reason.UNACCEPTED)
    if isinstance(loaded, rsa.RSAPublicKey):
        loaded.verify(signature, data, padding.PKCS1v15(), _RSA_HASHES[algorithm])
    elif isinstance(loaded, ec.EllipticCurvePublicKey):
        r, s = (int.from_bytes(part, "big", signed=True) for part in _unpack(signature, 2))
        loaded.verify(encode_dss_signature(r, s), data, ec.ECDSA(_CURVE_HASHES[loaded.curve.key_size]))
    else:
        loaded.verify(signature, data)


def _loaded(key: SshPublicKey) -> ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    try:
        loaded = load_ssh_public_key(key.line.encode("ascii"))
        canonical = base64.b64encode(key.blob).decode() == key.line.split(" ")[1]
    except Exception:  # noqa: BLE001  foreign and many; none of them may carry the text further
        canonical = False
    if not canonical:
        raise KeyUnusable("this is not a well-formed SSH public key")
    if isinstance(loaded, rsa.RSAPublicKey) and not _RSA_MINIMUM <= loaded.key_size <= _RSA_MAXIMUM:
        raise KeyUnusable(f"an RSA key must have {_RSA_MINIMUM} to {_RSA_MAXIMUM} bits; an ed25519 key is better still")
    if not isinstance(loaded, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise KeyUnusable("this kind of SSH key is not accepted: use ed25519, ecdsa or rsa")
    return loaded
