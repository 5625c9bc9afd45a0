"""ML-DSA-65: our second signature, bound to message, purpose and key; the standard's sizes; other keys are refused."""

from __future__ import annotations

import pytest

from core.errors import KeyUnusable
from keys.mldsa import KIND, parse_mldsa_key, public_line
from keys.private.mldsa import MldsaSigner, mldsa_signer_from
from keys.private.secret import Secret
from keys.private.signing import Signer
from keys.verification import Reason, Verification

MESSAGE = b"a manifest"


@pytest.fixture(scope="module")
def signer() -> MldsaSigner:
    return MldsaSigner.generate()


@pytest.fixture(scope="module")
def signature(signer: MldsaSigner) -> bytes:
    return signer.sign(MESSAGE, "gla-manifest")


def test_a_signature_is_valid_and_of_the_standards_size(signer: MldsaSigner, signature: bytes) -> None:
    assert (len(signature), len(signer.public_key.raw)) == (3309, 1952)
    judged = signer.public_key.judge(signature, MESSAGE, "gla-manifest")
    assert judged == Verification(Reason.VALID, signer.public_key.line)


@pytest.mark.parametrize(
    ("message", "namespace"), [(MESSAGE + b"!", "gla-manifest"), (MESSAGE, "gla-ledger"), (MESSAGE, "")]
)
def test_another_message_or_purpose_is_refused(
    signer: MldsaSigner, signature: bytes, message: bytes, namespace: str
) -> None:
    assert not signer.public_key.judge(signature, message, namespace).valid


def test_another_key_is_refused(signature: bytes) -> None:
    assert MldsaSigner.generate().public_key.judge(signature, MESSAGE, "gla-manifest").reason is Reason.NOT_GENUINE


@pytest.mark.parametrize("place", [0, 1, 1500, 3308])
def test_a_flipped_bit_is_refused(signer: MldsaSigner, signature: bytes, place: int) -> None:
    changed = bytearray(signature)
    changed[place] ^= 1
    assert not signer.public_key.judge(bytes(changed), MESSAGE, "gla-manifest").valid


@pytest.mark.parametrize("change", [lambda it: it[:-1], lambda it: it + b"\0", lambda _: b""])
def test_another_length_is_refused(signer: MldsaSigner, signature: bytes, change) -> None:  # type: ignore[no-untyped-def]
    assert signer.public_key.judge(change(signature), MESSAGE, "gla-manifest").reason is Reason.MALFORMED


def test_a_key_file_is_read_again(signer: MldsaSigner) -> None:
    again = mldsa_signer_from(Secret(signer.private_file()), "here")
    assert again.public_key == signer.public_key
    assert parse_mldsa_key(signer.public_key.line) == signer.public_key
    assert signer.public_key.fingerprint.startswith("SHA256:")
    assert signer.public_key.fingerprint in repr(signer)


def test_a_key_of_another_kind_is_refused() -> None:
    with pytest.raises(KeyUnusable, match="here is not an ML-DSA-65"):
        mldsa_signer_from(Secret(Signer.generate().private_file()), "here")


@pytest.mark.parametrize("text", ["", KIND, f"{KIND} ", f"{KIND} AAAA", "x", public_line(bytes(1951)), f"{KIND} é"])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    with pytest.raises(KeyUnusable):
        parse_mldsa_key(text)
