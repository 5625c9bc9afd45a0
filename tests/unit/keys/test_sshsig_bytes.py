"""The bytes of SSH signatures, against the text of PROTOCOL.sshsig and RFC 4251, and at each limit."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.errors import KeyUnusable, SignerUnknown
from keys.private.signing import Signer
from keys.sshsig import (
    SshPublicKey,
    armored,
    ecdsa_signature,
    pack,
    parse_public_key,
    signed_data,
    verify,
)

MESSAGE = b"message"
CURVE_KEY = ec.derive_private_key(0x1234_5678, ec.SECP256R1())
CURVE_LINE = CURVE_KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def test_the_signed_bytes_are_those_of_the_protocol() -> None:
    digest = hashlib.sha512(MESSAGE).digest()
    assert signed_data(MESSAGE, "ns") == (
        b"SSHSIG" + b"\0\0\0\x02ns" + b"\0\0\0\0" + b"\0\0\0\x06sha512" + b"\0\0\0\x40" + digest
    )
    assert signed_data(MESSAGE, "ns", "sha256").endswith(b"\0\0\0\x20" + hashlib.sha256(MESSAGE).digest())


def test_the_file_is_that_of_the_protocol() -> None:
    key = SshPublicKey("ssh-ed25519 AAAA")
    lines = armored(key, "ns", b"s" * 100).splitlines()
    assert (lines[0], lines[-1]) == ("-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----")
    assert [len(line) for line in lines[1:-2]] == [70] * (len(lines) - 3)
    assert base64.b64decode("".join(lines[1:-1])) == (
        b"SSHSIG\0\0\0\x01" + b"\0\0\0\x03\0\0\0" + b"\0\0\0\x02ns" + b"\0\0\0\0" + b"\0\0\0\x06sha512"
        b"\0\0\0\x64" + b"s" * 100
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, b"\x01"), (0x7F, b"\x7f"), (0x80, b"\0\x80"), (0xFF, b"\0\xff"), (0x100, b"\x01\0"), (0x8000, b"\0\x80\0")],
)
def test_numbers_of_ecdsa_are_positive_and_as_short_as_can_be(number: int, text: bytes) -> None:
    assert ecdsa_signature(number, 1) == pack(text) + pack(b"\x01")
    assert ecdsa_signature(1, number) == pack(b"\x01") + pack(text)


def curve_signature(*, high: bool) -> tuple[int, int]:
    """One whose first number has its highest bit set, or not."""
    while True:
        r, s = decode_dss_signature(CURVE_KEY.sign(signed_data(MESSAGE, "ns"), ec.ECDSA(hashes.SHA256())))
        if (r >> 255 == 1) is high:
            return r, s


def curve_file(inner: bytes) -> str:
    return armored(SshPublicKey(CURVE_LINE), "ns", pack(b"ecdsa-sha2-nistp256") + pack(inner))


@pytest.mark.parametrize("high", [False, True])
def test_an_ecdsa_signature_verifies_whatever_its_highest_bit(*, high: bool) -> None:
    assert verify(curve_file(ecdsa_signature(*curve_signature(high=high))), MESSAGE, "ns").line == CURVE_LINE


def test_a_negative_number_of_ecdsa_is_not_taken_for_a_positive_one() -> None:
    r, s = curve_signature(high=True)
    _, _, rest = ecdsa_signature(r, s).partition(pack(b"\0" + r.to_bytes(32, "big")))
    with pytest.raises(SignerUnknown):
        verify(curve_file(pack(r.to_bytes(32, "big")) + rest), MESSAGE, "ns")


def test_a_signature_file_has_at_most_16_kib() -> None:
    text = Signer.generate().sign(MESSAGE, "ns")
    assert verify(text + "\n" * (16 * 1024 - len(text)), MESSAGE, "ns")
    with pytest.raises(SignerUnknown):
        verify(text + "\n" * (16 * 1024 - len(text) + 1), MESSAGE, "ns")


def test_a_public_key_line_has_at_most_16_kib() -> None:
    line = Signer.generate().public_key.line
    assert parse_public_key(f"{line} {'c' * (16 * 1024 - len(line) - 1)}").line == line
    with pytest.raises(KeyUnusable, match="not an SSH public key of one of the kinds"):
        parse_public_key(f"{line} {'c' * (16 * 1024 - len(line))}")


@pytest.mark.parametrize("blob", ["AAAA", "A", "AAAAC3NzaC1lZDI1NTE5", "=" * 10])
def test_a_malformed_key_is_refused_with_one_sentence(blob: str) -> None:
    with pytest.raises(KeyUnusable, match=r"^this is not a well-formed SSH public key$"):
        parse_public_key(f"ssh-ed25519 {blob}")


def test_a_defect_is_told_with_the_purpose() -> None:
    with pytest.raises(SignerUnknown, match="not a valid SSH signature of the document for gla-receipt"):
        verify("nothing", MESSAGE, "gla-receipt")


@pytest.mark.parametrize(("bits", "accepted"), [(3071, False), (3072, True), (16384, True), (16385, False)])
def test_an_rsa_key_has_3072_to_16384_bits(bits: int, *, accepted: bool) -> None:
    key = rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key()
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    if accepted:
        assert parse_public_key(line).line == line
    else:
        with pytest.raises(KeyUnusable, match="must have 3072 to 16384 bits"):
            parse_public_key(line)
