"""X.509 certificates: which can be sealed to, which not and why; and CMS messages to them, within their limit."""

from __future__ import annotations

import io
import os
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from cryptography.x509 import load_pem_x509_certificate

from core.errors import KeyUnusable, UnusableInput
from keys.cms import sealing
from keys.cms.certificate import X509Recipient
from keys.envelope.errors import NoMatchingKey, PayloadInvalid
from keys.kinds import check_together, open_sealer, parse_sealing_key, preferred
from keys.private.identities import generate_identity
from keys.private.kinds import open_envelope, parse_private_keys
from tests.foreign_keys import BORN, certificate_pair, elliptic_key

NOW = BORN + timedelta(days=100)


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    return certificate_pair()


def sealed(plain: bytes, *certificates: bytes) -> bytes:
    target = io.BytesIO()
    with open_sealer(target, [X509Recipient(each) for each in certificates], NOW) as sealer:
        sealer.write(plain)
    return target.getvalue()


def opened(message: bytes, pair: tuple[bytes, bytes]) -> bytes:
    return open_envelope(io.BytesIO(message), parse_private_keys(b"".join(pair))).read()


def test_a_certificate_reads_back_from_its_text_and_from_binary(pair):
    certificate = load_pem_x509_certificate(pair[1])
    key = parse_sealing_key(pair[1])
    assert key == parse_sealing_key(str(key)) == parse_sealing_key(certificate.public_bytes(Encoding.DER))
    assert len(key.fingerprint) == 5 + 64
    assert key.fingerprint in repr(key)
    assert (key.kind, key.form.suffix, key.is_hybrid) == ("x509", ".p7m", False)


@pytest.mark.parametrize("plain", [b"", b"x", b"line\n", os.urandom(3 * 1024 * 1024)], ids=len)
def test_a_message_opens_to_exactly_what_was_written(pair, plain):
    assert opened(sealed(plain, pair[1]), pair) == plain


def test_each_of_several_recipients_opens(pair):
    other = certificate_pair()
    message = sealed(b"for both", pair[1], other[1])
    assert opened(message, pair) == opened(message, other) == b"for both"


def test_another_key_does_not_open(pair):
    with pytest.raises(NoMatchingKey):
        opened(sealed(b"x", pair[1]), certificate_pair())


def test_a_key_of_another_kind_says_which_kind_is_needed(pair):
    with pytest.raises(NoMatchingKey, match=r"this is an? CMS file"):
        open_envelope(io.BytesIO(sealed(b"x", pair[1])), [generate_identity()])


def test_a_damaged_message_does_not_open(pair):
    message = sealed(b"x" * 1000, pair[1])
    for damaged in (message[:-1], message[:40], message[: len(message) // 2] + message[len(message) // 2 + 1 :]):
        with pytest.raises((PayloadInvalid, NoMatchingKey)):
            opened(damaged, pair)


def private_forms(pair: tuple[bytes, bytes]) -> dict[str, bytes]:
    key, certificate = load_pem_private_key(pair[0], None), load_pem_x509_certificate(pair[1])
    locked = BestAvailableEncryption(b"secret")
    return {
        "PKCS8 text": pair[0],
        "PKCS8 text beside the certificate": pair[1] + pair[0],
        "PKCS8 text, locked": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked),
        "PKCS1 text": key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "PKCS8": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "PKCS8, locked": key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, locked),
        "PKCS1": key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "PKCS12": pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, locked),
        "SSH": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
    }


def test_a_private_key_in_any_form_is_refused_loudly_and_not_shown(pair):
    for name, given in private_forms(pair).items():
        with pytest.raises(KeyUnusable, match="PRIVATE key, not a public one: treat it as leaked") as caught:
            parse_sealing_key(given)
        assert caught.value.__context__ is None, name
        with pytest.raises(KeyUnusable, match="PRIVATE key, not a public one"):
            X509Recipient(given)


def refused(match: str, **words) -> None:
    with pytest.raises(KeyUnusable, match=match):
        parse_sealing_key(certificate_pair(**words)[1])


def test_a_weak_rsa_key_is_refused_with_its_size():
    refused("2048 bits, of 3072 at least", key=rsa.generate_private_key(65537, 2048))


def test_a_certificate_that_is_not_for_encryption_is_refused(pair):
    refused("not for encryption", encipherment=False)
    refused("RSA keys only", key=elliptic_key())
    refused("certificate authority", encipherment=None, ca=True)
    parse_sealing_key(certificate_pair(encipherment=None)[1]).check(NOW)  # one that does not say may be used


def test_a_certificate_out_of_its_time_is_refused_with_the_moment(pair):
    key = X509Recipient(pair[1])
    with pytest.raises(KeyUnusable, match="not valid before 2026-01-01"):
        key.check(BORN - timedelta(seconds=1))
    with pytest.raises(KeyUnusable, match="expired on 20"):
        key.check(key.not_after)
    with pytest.raises(KeyUnusable, match="expired on 20"):
        open_sealer(io.BytesIO(), [key], key.not_after)


@pytest.mark.parametrize(
    "junk",
    [b"0\x82\x01\x00junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"0"],
)
def test_what_is_no_certificate_is_refused(junk):
    with pytest.raises(KeyUnusable, match=r"not an X\.509 certificate") as caught:
        parse_sealing_key(junk)
    assert caught.value.__context__ is None


def test_a_chain_and_a_huge_file_are_refused(pair):
    for given in (pair[1] * 2, b"0" * 100_000_000):
        with pytest.raises(KeyUnusable, match=r"more than one X\.509 certificate"):
            parse_sealing_key(given)


def test_the_limit_stops_the_writing_at_once_and_leaves_nothing(pair, monkeypatch):
    monkeypatch.setattr(sealing, "LIMIT", 1000)
    target = io.BytesIO()
    with (  # noqa: PT012 - the second write is the one that is refused
        pytest.raises(UnusableInput, match=r"may hold .* MiB, .*: agree on parts \(gla\.parts\), or on an age key"),
        open_sealer(target, [X509Recipient(pair[1])], NOW) as sealer,
    ):
        sealer.write(bytes(1000))
        sealer.write(b"x")
    assert target.getvalue() == b""
    assert sealer._content == b""


def test_forms_are_never_mixed_and_age_comes_first(pair):
    age, certificate = generate_identity("x25519").recipient, X509Recipient(pair[1])
    with pytest.raises(KeyUnusable, match="keep one kind"):
        check_together([age, certificate])
    assert preferred([certificate, age]) == [age]
    assert preferred([]) == []


def test_nothing_comes_out_after_an_exception(pair):
    target = io.BytesIO()
    with pytest.raises(ZeroDivisionError), open_sealer(target, [X509Recipient(pair[1])], NOW) as sealer:
        sealer.write(bytes([1 // 0]))
    assert target.getvalue() == b""


def test_without_a_block_closing_completes_the_message_and_only_once(pair):
    target = io.BytesIO()
    sealer = open_sealer(target, [X509Recipient(pair[1])], NOW)
    assert (sealer.write(b"con"), sealer.write(b"tent"), sealer.tell(), sealer.closed) == (3, 4, 7, False)
    sealer.close()
    message = target.getvalue()
    sealer.close()
    assert (sealer.closed, target.getvalue()) == (True, message)
    with pytest.raises(ValueError, match=r"^write to a closed envelope$"):
        sealer.write(b"more")
    assert opened(message, pair) == b"content"


def test_a_block_that_goes_on_after_an_error_does_not_end_well(pair, monkeypatch):
    monkeypatch.setattr(sealing, "LIMIT", 1)
    target = io.BytesIO()
    with (  # noqa: PT012 - what is tested is how the block ends
        pytest.raises(ValueError, match=r"^the envelope was abandoned after an error$"),
        open_sealer(target, [X509Recipient(pair[1])], NOW) as sealer,
    ):
        with pytest.raises(UnusableInput):
            sealer.write(b"too much")
        assert (sealer.closed, sealer.tell()) == (True, 0)
    assert target.getvalue() == b""


def test_a_locked_key_file_asks_and_a_wrong_passphrase_is_told(pair):
    locked = private_forms(pair)["PKCS8 text, locked"] + pair[1]
    message = sealed(b"x", pair[1])
    asked = parse_private_keys(locked, lambda which: "secret")
    assert open_envelope(io.BytesIO(message), asked).read() == b"x"
    assert "secret" not in repr(asked)
    with pytest.raises(KeyUnusable, match="passphrase is another"):
        parse_private_keys(locked, lambda which: "wrong")
    with pytest.raises(KeyUnusable, match="nobody can be asked"):
        parse_private_keys(locked)


def test_a_key_file_without_its_certificate_or_with_anothers_is_refused(pair):
    with pytest.raises(KeyUnusable, match="both in PEM"):
        parse_private_keys(pair[0])
    with pytest.raises(KeyUnusable, match="does not belong"):
        parse_private_keys(pair[0] + certificate_pair()[1])
