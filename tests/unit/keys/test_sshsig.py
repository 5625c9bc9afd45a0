from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.errors import KeyUnusable, SignerUnknown
from keys.private.signing import Signer
from keys.sshsig import (
    Namespace,
    SshPublicKey,
    armored,
    judge,
    judge_digests,
    pack,
    parse_public_key,
    signed_data,
    verify,
    verify_by,
)
from keys.verification import Reason, Verification

MESSAGE = b"the agreement"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.generate()


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 3072)


def line_of(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_a_signature_names_the_key_that_made_it(signer: Signer) -> None:
    signature = signer.sign(MESSAGE, Namespace.AGREEMENT)
    assert verify(signature, MESSAGE, Namespace.AGREEMENT) == signer.public_key
    assert verify_by(signature, MESSAGE, "gla-agreement", signer.public_key.fingerprint) == signer.public_key


def test_a_signature_for_a_receipt_is_worthless_on_an_agreement(signer: Signer) -> None:
    signature = signer.sign(MESSAGE, Namespace.RECEIPT)
    for namespace in ("gla-agreement", "", "gla-receip", "gla-receiptx"):
        with pytest.raises(SignerUnknown):
            verify(signature, MESSAGE, namespace)


def test_one_changed_byte_in_the_document_is_refused(signer: Signer) -> None:
    with pytest.raises(SignerUnknown):
        verify(signer.sign(MESSAGE, Namespace.AGREEMENT), b"the agreemend", Namespace.AGREEMENT)


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_a_file_that_was_not_kept_is_judged_by_its_digests(signer: Signer, hash_name: str) -> None:
    raw = signer._key.sign(signed_data(b"document", "gla-receipt", hash_name))
    signature = armored(signer.public_key, "gla-receipt", pack(b"ssh-ed25519") + pack(raw), hash_name)

    def judged(document: bytes, namespace: str = "gla-receipt") -> Verification:
        digests = {name: hashlib.new(name, document).digest() for name in ("sha256", "sha512")}
        return judge_digests(signature, digests, namespace)

    assert judged(b"document") == judge(signature, b"document", "gla-receipt")
    assert judged(b"document").key == signer.public_key.line
    assert judged(b"documenT").reason is Reason.NOT_GENUINE
    assert judged(b"document", "gla-agreement").reason is Reason.ANOTHER_PURPOSE
    assert not judge_digests(signature, {}, "gla-receipt").valid


def test_a_valid_signature_by_another_key_is_refused(signer: Signer) -> None:
    signature = Signer.generate().sign(MESSAGE, Namespace.AGREEMENT)
    with pytest.raises(SignerUnknown, match="not with the expected key"):
        verify_by(signature, MESSAGE, Namespace.AGREEMENT, signer.public_key.fingerprint)


def test_a_signature_with_another_keys_name_on_it_is_refused(signer: Signer) -> None:
    raw = ed25519.Ed25519PrivateKey.generate().sign(signed_data(MESSAGE, "gla-agreement"))
    forged = armored(signer.public_key, "gla-agreement", pack(b"ssh-ed25519") + pack(raw))
    with pytest.raises(SignerUnknown):
        verify(forged, MESSAGE, "gla-agreement")


@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
@pytest.mark.parametrize("algorithm", ["rsa-sha2-256", "rsa-sha2-512"])
def test_rsa_with_sha_2_is_accepted(rsa_key: rsa.RSAPrivateKey, algorithm: str, hash_name: str) -> None:
    hashing = hashes.SHA256() if algorithm == "rsa-sha2-256" else hashes.SHA512()
    raw = rsa_key.sign(signed_data(MESSAGE, "n", hash_name), padding.PKCS1v15(), hashing)
    key = parse_public_key(line_of(rsa_key))
    signature = armored(key, "n", pack(algorithm.encode()) + pack(raw), hash_name)
    assert verify(signature, MESSAGE, "n") == key


def test_rsa_with_sha_1_is_refused(rsa_key: rsa.RSAPrivateKey) -> None:
    raw = rsa_key.sign(signed_data(MESSAGE, "n"), padding.PKCS1v15(), hashes.SHA1())
    for algorithm in (b"ssh-rsa", b"rsa-sha2-256"):
        with pytest.raises(SignerUnknown):
            verify(armored(parse_public_key(line_of(rsa_key)), "n", pack(algorithm) + pack(raw)), MESSAGE, "n")


def test_a_message_hashed_with_sha_1_is_refused(signer: Signer) -> None:
    raw = signer._key.sign(signed_data(MESSAGE, "n", "sha1"))
    with pytest.raises(SignerUnknown):
        verify(armored(signer.public_key, "n", pack(b"ssh-ed25519") + pack(raw), "sha1"), MESSAGE, "n")


@pytest.mark.parametrize(
    ("curve", "hashing"),
    [(ec.SECP256R1(), hashes.SHA256()), (ec.SECP384R1(), hashes.SHA384()), (ec.SECP521R1(), hashes.SHA512())],
)
def test_ecdsa_is_accepted_on_the_nist_curves(curve: ec.EllipticCurve, hashing: hashes.HashAlgorithm) -> None:
    private = ec.generate_private_key(curve)
    key = parse_public_key(line_of(private))
    numbers = decode_dss_signature(private.sign(signed_data(MESSAGE, "n"), ec.ECDSA(hashing)))
    raw = b"".join(pack(number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in numbers)
    kind = key.line.split()[0].encode()
    assert verify(armored(key, "n", pack(kind) + pack(raw)), MESSAGE, "n") == key
    with pytest.raises(SignerUnknown):
        verify(armored(key, "n", pack(b"ecdsa-sha2-nistp999") + pack(raw)), MESSAGE, "n")


def test_a_reserved_field_that_nobody_signed_is_refused(signer: Signer) -> None:
    blob = base64.b64decode("".join(signer.sign(MESSAGE, "n").splitlines()[1:-1]))
    smuggled = blob.replace(pack(b"n") + pack(b""), pack(b"n") + pack(b"x"))
    assert smuggled != blob
    with pytest.raises(SignerUnknown):
        verify(wrapped(smuggled), MESSAGE, "n")


def wrapped(blob: bytes) -> str:
    return f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(blob).decode()}\n-----END SSH SIGNATURE-----\n"


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "change",
    [
        lambda blob: blob[:-1],
        lambda blob: blob + b"x",
        lambda blob: b"SSHSIX" + blob[6:],
        lambda blob: blob[:6] + b"\0\0\0\2" + blob[10:],
        lambda blob: blob[:10] + b"\xff\xff\xff\xff" + blob[14:],
        lambda _: b"",
        lambda _: b"SSHSIG\0\0\0\1",
    ],
)
def test_a_malformed_signature_is_refused_like_any_other(change: Change, signer: Signer) -> None:
    blob = base64.b64decode("".join(signer.sign(MESSAGE, "n").splitlines()[1:-1]))
    assert verify(wrapped(blob), MESSAGE, "n") == signer.public_key
    with pytest.raises(SignerUnknown) as refusal:
        verify(wrapped(change(blob)), MESSAGE, "n")
    assert refusal.value.__context__ is None


@pytest.mark.parametrize("text", ["", "x", "\n", "-----BEGIN SSH SIGNATURE-----", "\u00e9", "A" * 1_000_000])
def test_what_is_no_signature_file_is_refused(text: str) -> None:
    with pytest.raises(SignerUnknown):
        verify(text, MESSAGE, "n")


def test_a_public_key_loses_its_comment_and_keeps_its_fingerprint(signer: Signer) -> None:
    key = parse_public_key(f"  {signer.public_key.line}  jan@example.nl werk\n")
    assert key == signer.public_key
    assert key.fingerprint == signer.public_key.fingerprint
    assert key.fingerprint.startswith("SHA256:")


@pytest.mark.parametrize("bits", [1024, 2048])
def test_a_short_rsa_key_is_refused(bits: int) -> None:
    with pytest.raises(KeyUnusable, match="3072"):
        parse_public_key(line_of(rsa.generate_private_key(65537, bits)))


def test_a_private_key_pasted_as_a_public_one_is_refused_and_never_shown(signer: Signer) -> None:
    secret = signer.private_file().decode()
    with pytest.raises(KeyUnusable, match="PRIVATE") as refusal:
        parse_public_key(secret)
    assert secret.splitlines()[1] not in str(refusal.value)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 !!!!",
        "ssh-dss AAAAB3NzaC1kc3MAAACBA",
        "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29t",
        'command="x" ssh-ed25519 AAAA',
    ],
)
def test_what_is_not_an_accepted_public_key_is_refused(line: str) -> None:
    with pytest.raises(KeyUnusable) as refusal:
        parse_public_key(line)
    assert refusal.value.__context__ is None


def test_a_public_key_with_bytes_after_its_end_is_refused(signer: Signer) -> None:
    kind = signer.public_key.line.split()[0]
    longer = base64.b64encode(signer.public_key.blob + b"x").decode()
    for line in (f"{kind} {longer}", signer.public_key.line.replace("ssh-ed25519", "ssh-rsa")):
        with pytest.raises(KeyUnusable):
            parse_public_key(line)


def test_equal_keys_are_equal(signer: Signer) -> None:
    assert SshPublicKey(signer.public_key.line) == signer.public_key


class TestReasons:
    """A refusal says why, and only a genuine signature names its key."""

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({}, Reason.VALID),
            ({"message": MESSAGE + b"!"}, Reason.NOT_GENUINE),
            ({"namespace": "gla-ledger"}, Reason.ANOTHER_PURPOSE),
            ({"namespace": ""}, Reason.ANOTHER_PURPOSE),
            ({"signature": "x"}, Reason.MALFORMED),
            ({"signature": ""}, Reason.MALFORMED),
            ({"signature": "x" * 20_000}, Reason.MALFORMED),
        ],
    )
    def test_each_defect_has_its_reason(self, signer: Signer, change: dict[str, Any], reason: Reason) -> None:
        signed = {
            "signature": signer.sign(MESSAGE, Namespace.AGREEMENT),
            "message": MESSAGE,
            "namespace": Namespace.AGREEMENT,
        }
        judged = judge(**(signed | change))
        assert (judged.reason, judged.key) == (reason, signer.public_key.line if judged.valid else None)

    def test_an_unaccepted_hash_or_algorithm(self, signer: Signer) -> None:
        fields = (signer.public_key, "gla-ledger", pack(b"ssh-rsa") + pack(bytes(64)))
        assert judge(armored(*fields), MESSAGE, "gla-ledger").reason is Reason.UNACCEPTED
        assert judge(armored(*fields, hash_name="sha1"), MESSAGE, "gla-ledger").reason is Reason.UNACCEPTED

    def test_the_refusal_of_verify_tells_the_reason(self, signer: Signer) -> None:
        with pytest.raises(SignerUnknown, match="made for another purpose"):
            verify(signer.sign(MESSAGE, Namespace.AGREEMENT), MESSAGE, Namespace.LEDGER)

    @pytest.mark.parametrize("given", [None, 3, b"x", [], object()])
    def test_nothing_makes_it_raise(self, given: Any) -> None:
        assert not judge(given, MESSAGE, "gla-ledger").valid
