"""What is wrong with an OpenPGP or X.509 key or message is told in our words, whatever the libraries say or raise."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.hazmat.primitives.serialization import load_pem_private_key as load_key
from cryptography.x509 import load_pem_x509_certificate
from pysequoia import CipherSuite, Profile, Tsk

from core.clock import utc_now
from core.errors import GlaError, KeyUnusable, UnusableInput
from keys.envelope.errors import NoMatchingKey, PayloadInvalid
from keys.kinds import check_together, open_sealer, parse_sealing_key
from keys.openpgp import sealing
from keys.openpgp.certificate import OpenPgpCertificate, merged
from keys.private import cms
from keys.private.identities import generate_identity
from keys.private.kinds import open_envelope, open_pieces, parse_private_keys
from tests.foreign_keys import BORN, certificate_pair, elliptic_key

NOW = BORN + timedelta(days=100)
SOON = timedelta(seconds=5)
OTHER = "none of the given private keys opens this file: it was sealed for another key"


def said(call: Callable[[], object], kind: type[GlaError] = KeyUnusable) -> str:
    with pytest.raises(kind) as refusal:
        call()
    assert type(refusal.value) is kind
    assert refusal.value.__context__ is None
    return str(refusal.value)


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    return certificate_pair()


@pytest.fixture(scope="module")
def tsk() -> Tsk:
    return Tsk.generate("fonds", profile=Profile.RFC9580)


def public(tsk: Tsk) -> OpenPgpCertificate:
    return OpenPgpCertificate(bytes(tsk.extract_certificate()))


def in_der(certificate: bytes) -> bytes:
    return load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            lambda: {"key": rsa.generate_private_key(65537, 2048)},
            "its RSA key has 2048 bits, of 3072 at least: the recipient orders a new one",
        ),
        (
            lambda: {"encipherment": False},
            "its key is not for encryption (keyEncipherment): the recipient gives another",
        ),
        (
            lambda: {"encipherment": None, "ca": True},
            "it belongs to a certificate authority: give the recipient's own",
        ),
        (
            lambda: {"key": elliptic_key()},
            "CMS is made for RSA keys only: the recipient gives an RSA certificate, or an age key",
        ),
    ],
)
def test_a_certificate_that_nothing_can_be_sealed_to(words: Callable[[], dict[str, object]], reason: str) -> None:
    certificate = certificate_pair(**words())[1]
    fingerprint = load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()
    assert said(lambda: parse_sealing_key(certificate)) == f"X.509 certificate X509:{fingerprint}: {reason}"


@pytest.mark.parametrize(
    ("found", "put"),
    [
        (b"\x06\x03\x55\x1d\x13", b"\x06\x03\x55\x1d\x0f"),  # the same extension twice
        (b"\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x30\x00", b"\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x31\x00"),
    ],
)
def test_extensions_that_cannot_be_read(pair: tuple[bytes, bytes], found: bytes, put: bytes) -> None:
    changed = in_der(pair[1]).replace(found, put)
    assert changed != in_der(pair[1])
    sentence = ": its extensions cannot be read: the recipient orders a new one"
    assert said(lambda: parse_sealing_key(changed)).endswith(sentence)


def test_a_certificate_of_no_version_that_there_is(pair: tuple[bytes, bytes]) -> None:
    changed = in_der(pair[1]).replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1)
    assert said(lambda: parse_sealing_key(changed)) == "this is not an X.509 certificate in PEM or DER"


def test_more_than_one_certificate(pair: tuple[bytes, bytes]) -> None:
    sentence = "this is more than one X.509 certificate: give the recipient's own, without those above it"
    assert said(lambda: parse_sealing_key(pair[1] * 2)) == sentence


def test_a_key_file_for_cms_that_is_not_one(pair: tuple[bytes, bytes]) -> None:
    read = partial(partial, parse_private_keys)
    both = "a key file for CMS holds the private key and its certificate, both in PEM: put both in one file"
    assert said(read(pair[0])) == both
    sentence = "the certificate in this key file does not belong to its private key"
    assert said(read(pair[0] + certificate_pair()[1])) == sentence
    sentence = "the key file has no RSA private key in PEM, or its passphrase is another one"
    assert said(read(certificate_pair(key=elliptic_key())[0] + pair[1])) == sentence
    locked = load_key(pair[0], None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    asked: list[str] = []
    assert said(lambda: parse_private_keys(locked + pair[1], lambda which: asked.append(which) or "y")) == sentence
    assert asked == ["The private key of the certificate"]
    assert said(read(locked + pair[1])) == (
        "The private key of the certificate has a passphrase, and nobody can be asked for it here: "
        "use a key without one"
    )


def test_a_cms_message_that_does_not_open(pair: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    target = io.BytesIO()
    with open_sealer(target, [parse_sealing_key(pair[1])], NOW) as sealer:
        sealer.write(b"x")
    message = target.getvalue()

    def opening(data: bytes, keys: tuple[bytes, bytes]) -> str:
        [key] = parse_private_keys(b"".join(keys))
        assert repr(key) == f"<private key of {parse_sealing_key(keys[1]).fingerprint}>"
        return said(lambda: list(open_pieces(io.BytesIO(data), [key])), kind)

    kind: type[GlaError] = NoMatchingKey
    assert opening(message, certificate_pair()) == OTHER
    kind = PayloadInvalid
    sentence = "the CMS file is damaged, or of a form that we do not open: fetch it again"
    assert opening(message[:-1], pair) == sentence
    monkeypatch.setattr(cms, "_LARGEST", len(message) - 1)
    assert opening(message, pair) == "the CMS file is over 64 MiB: open it with openssl cms -decrypt"
    monkeypatch.setattr(cms, "_LARGEST", len(message))
    assert open_envelope(io.BytesIO(message), parse_private_keys(b"".join(pair))).read() == b"x"


def test_a_content_that_is_too_large_for_cms(pair: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    sealer = open_sealer(io.BytesIO(), [parse_sealing_key(pair[1])], NOW)
    monkeypatch.setattr("keys.cms.sealing.LIMIT", 2 * 1024 * 1024)
    sentence = said(lambda: sealer.write(bytes(2 * 1024 * 1024 + 1)), UnusableInput)
    assert sentence.startswith(
        "a file for an X.509 certificate (CMS) may hold 2 MiB, and this one is larger: agree on "
    )
    assert sentence.endswith(", or on an age key, which has no limit")
    assert (sealer.readable(), sealer.seekable(), sealer.writable()) == (False, False, True)


def test_an_openpgp_certificate_that_nothing_can_be_sealed_to(tsk: Tsk) -> None:
    weak = Tsk.generate("x", profile=Profile.RFC4880, cipher_suite=CipherSuite.RSA2k).extract_certificate()
    assert said(lambda: parse_sealing_key(bytes(weak))) == (
        f"OpenPGP certificate OPENPGP:{weak.fingerprint.upper()}: its RSA key has 2048 bits, of 3072 at least: "
        "the recipient makes a new one"
    )
    mine = tsk.extract_certificate()
    start = f"OpenPGP certificate OPENPGP:{mine.fingerprint.upper()}: "
    revoked = bytes(mine) + bytes(mine.revoke(tsk.certifier()))
    assert said(lambda: parse_sealing_key(revoked)) == (
        f"{start}it was revoked by its owner: revoke it here too, the recipient registers another"
    )
    other = public(Tsk.generate("other", profile=Profile.RFC9580))
    assert said(lambda: merged(public(tsk), other)) == (
        f"OpenPGP certificate {other.fingerprint} is not a newer form of {public(tsk).fingerprint}"
    )


def test_the_size_of_an_rsa_key_is_read_in_the_newer_form_of_a_key_too() -> None:
    weak = Tsk.generate("x", profile=Profile.RFC9580, cipher_suite=CipherSuite.RSA2k).extract_certificate()
    assert ": its RSA key has 2048 bits, of 3072 at least: " in said(lambda: parse_sealing_key(bytes(weak)))


def test_what_is_not_one_openpgp_certificate_or_too_large(tsk: Tsk) -> None:
    one = "this is not exactly one OpenPGP certificate: export one, with gpg --export FINGERPRINT"
    assert said(lambda: parse_sealing_key(b"\x99\x00")) == one
    assert said(lambda: parse_sealing_key(bytes(tsk.extract_certificate()) * 2)) == one
    large = "this OpenPGP certificate is larger than 1 MiB: export it without others' certifications"
    assert said(lambda: parse_sealing_key(b"\x99" * (1024 * 1024 + 1))) == large
    assert said(lambda: parse_sealing_key(b"\x99" * 1024 * 1024)) == one


def test_an_openpgp_private_key_that_is_not_one(tsk: Tsk) -> None:
    one = "this is not exactly one OpenPGP private key: export one with gpg --export-secret-keys"
    assert said(lambda: parse_private_keys(bytes(tsk) * 2)) == one
    assert said(lambda: parse_private_keys(b"\x99\x00")) == one
    assert said(lambda: parse_private_keys(bytes(tsk.extract_certificate()))) == one


def test_an_openpgp_message_that_does_not_open(tsk: Tsk) -> None:
    target = io.BytesIO()
    with open_sealer(target, [public(tsk)], utc_now() + SOON) as sealer:
        sealer.write(bytes(3 * 1024 * 1024))
    message = target.getvalue()
    [mine], [other] = (parse_private_keys(bytes(each)) for each in (tsk, Tsk.generate("x", profile=Profile.RFC9580)))
    assert said(lambda: list(open_pieces(io.BytesIO(message), [other])), NoMatchingKey) == OTHER
    assert said(lambda: list(open_pieces(io.BytesIO(message[:-1]), [mine])), PayloadInvalid) == (
        "the OpenPGP message is damaged or not whole: fetch the file again, or ask the sender"
    )
    sizes = [len(piece) for piece in open_pieces(io.BytesIO(message), [mine])]
    assert sum(sizes) == 3 * 1024 * 1024
    assert max(sizes) <= 1024 * 1024, "memory does not grow with the message"


def test_an_encryption_that_stopped(tsk: Tsk) -> None:
    assert str(sealing._stopped()) == (
        "the OpenPGP encryption stopped before its end: resume, and if it stays look at the system's log"
    )


def test_keys_that_cannot_share_a_file(tsk: Tsk) -> None:
    hybrid = Tsk.generate("x", profile=Profile.RFC9580, cipher_suite=CipherSuite.MLDSA65_Ed25519)
    age, classical = generate_identity("x25519").recipient, public(tsk)
    assert said(lambda: check_together([])) == "there is no public key to seal to"
    assert said(lambda: check_together([age, classical])) == (
        "age, OpenPGP and X.509 keys may not share a delivery: keep one kind"
    )
    assert said(lambda: check_together([classical, public(hybrid)])) == (
        "hybrid (post-quantum) and classical keys may not share a file: keep one kind"
    )
    assert said(lambda: sealing.OpenPgpSealer(io.BytesIO(), [], utc_now())) == "there is no public key to seal to"
    both = [classical, public(hybrid)]
    assert said(lambda: sealing.OpenPgpSealer(io.BytesIO(), both, utc_now() + SOON)) == (
        "certificates with and without ML-KEM keys may not share a file: keep one kind"
    )


def test_keys_that_do_not_fit_the_file(tsk: Tsk, pair: tuple[bytes, bytes]) -> None:
    message = b"-----BEGIN PGP MESSAGE-----\n"
    sentence = "this is an OpenPGP file, and none of the given private keys is of that kind"
    assert said(lambda: open_pieces(io.BytesIO(message), [generate_identity()]), NoMatchingKey) == sentence
    [key] = parse_private_keys(bytes(tsk))
    assert said(lambda: open_pieces(io.BytesIO(message), [key, key])) == (
        "more than one OpenPGP private key is given: name the one that the file is for"
    )


def test_a_key_out_of_its_time(pair: tuple[bytes, bytes]) -> None:
    key = parse_sealing_key(pair[1])
    start, end = key.not_before, key.not_after
    assert end is not None
    key.check(start)
    key.check(end - timedelta(microseconds=1))
    assert said(lambda: key.check(datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC))) == (
        f"key {key.fingerprint} is not valid before 2026-01-01T00:00:00.000Z: wait, or register another"
    )
    assert said(lambda: key.check(end)).startswith(f"key {key.fingerprint} expired on 2045-12-27T00:00:00.000Z: the ")
    assert said(lambda: key.check(end)).endswith(": the recipient prolongs it or registers another")


def test_bytes_that_are_no_text_are_no_public_key() -> None:
    sentence = "this is not a public key of the form age1pq1... (hybrid) or age1... (X25519)"
    assert said(lambda: parse_sealing_key(b"age1\xff\xfe")) == sentence
    sentence = "line 1 of the key file is not a private key of the form AGE-SECRET-KEY-..."
    assert said(lambda: parse_private_keys(b"age1\xff\xfe")) == sentence
