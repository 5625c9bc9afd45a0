from __future__ import annotations

import io

import pytest

from core.errors import KeyUnusable
from keys.envelope import bech32
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import Sealer
from keys.private.identities import Identity, generate_identity
from keys.private.signing import Signer


def test_the_text_of_a_public_key_reads_back_to_an_equal_key(identity: Identity) -> None:
    text = str(identity.recipient)
    assert parse_recipient(f" {text}\n") == identity.recipient
    assert str(parse_recipient(text)) == text
    assert len({parse_recipient(text), identity.recipient}) == 1


def test_the_two_kinds_say_what_they_are() -> None:
    hybrid, classical = generate_identity("hybrid").recipient, generate_identity("x25519").recipient
    assert (hybrid.is_hybrid, str(hybrid)[:7], len(str(hybrid))) == (True, "age1pq1", 1959)
    assert (classical.is_hybrid, str(classical)[:4], len(str(classical))) == (False, "age1", 62)


def test_a_fingerprint_is_the_digest_of_the_text_and_stands_in_the_repr(identity: Identity) -> None:
    fingerprint = identity.recipient.fingerprint
    assert fingerprint.startswith("SHA256:")
    assert len(fingerprint) == 7 + 43
    assert fingerprint in repr(identity.recipient)


def test_a_private_key_pasted_as_a_public_one_is_refused_and_never_shown(identity: Identity) -> None:
    secret = identity.secret_text()
    openssh = Signer.generate().private_file().decode()
    for text in (secret, secret.lower(), f"  {secret}", f"# public key: age1\n{secret}", openssh):
        with pytest.raises(KeyUnusable, match="PRIVATE") as refusal:
            parse_recipient(text)
        assert secret[20:] not in str(refusal.value)
        assert refusal.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "age1",
        "age1pq1",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ",
        bech32.encode("age", bytes(range(31))),
        bech32.encode("age", bytes(range(33))),
        bech32.encode("age1pq", bytes(32)),
        bech32.encode("age1pq", b"\xff" * 1216),  # no ML-KEM-768 key: coefficients above the modulus
        bech32.encode("age1tag", bytes(33)),
        bech32.encode("bc", bytes(32)),
        bech32.encode("AGE", bytes(range(32))),  # age keys are lower-case
        "age1" + "q" * 1_000_000,
    ],
)
def test_what_is_not_a_public_key_is_refused_without_an_echo(text: str) -> None:
    with pytest.raises(KeyUnusable) as refusal:
        parse_recipient(text)
    assert len(str(refusal.value)) < 200
    assert refusal.value.__context__ is None


LOW_ORDER_POINTS = [
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
]


@pytest.mark.parametrize("point", LOW_ORDER_POINTS)
def test_a_public_key_of_low_order_is_refused_when_it_is_read(point: bytes) -> None:
    hybrid = generate_identity("hybrid").recipient
    for text in (bech32.encode("age", point), bech32.encode("age1pq", hybrid.raw[:-32] + point)):
        with pytest.raises(KeyUnusable):
            parse_recipient(text)


def test_hybrid_and_classical_keys_are_never_mixed_in_a_file() -> None:
    target = io.BytesIO()
    with pytest.raises(KeyUnusable, match="one kind"):
        Sealer(target, [generate_identity("hybrid").recipient, generate_identity("x25519").recipient])
    assert target.getvalue() == b""


def test_a_file_for_nobody_is_not_made() -> None:
    with pytest.raises(KeyUnusable):
        Sealer(io.BytesIO(), [])
