"""The age binding of PyPI (Rust's rage), both ways: what Python programs of recipients use."""

from __future__ import annotations

import io

import pyrage
import pytest

from core.errors import EnvelopeError
from keys.envelope.armor import ArmorWriter
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import Sealer
from keys.envelope.stream import BATCH, CHUNK
from keys.private.identities import generate_identity, parse_identities
from keys.private.opening import open_envelope

SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * BATCH, 2 * BATCH + 777]


def patterned(size: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))[:size]


def sealed(plain: bytes, *texts: str) -> bytes:
    target = io.BytesIO()
    with Sealer(target, [parse_recipient(text) for text in texts]) as sealer:
        sealer.write(plain)
    return target.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_opens_what_we_seal(size):
    ours, theirs = generate_identity("x25519"), pyrage.x25519.Identity.generate()
    content = sealed(patterned(size), str(ours.recipient), str(theirs.to_public()))
    assert pyrage.decrypt(content, [theirs]) == patterned(size)
    assert pyrage.decrypt(content, [pyrage.x25519.Identity.from_str(ours.secret_text())]) == patterned(size)


@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_we_open_what_pyrage_seals(size, armored):
    ours = generate_identity("x25519")
    keys = [pyrage.x25519.Identity.generate().to_public(), pyrage.x25519.Recipient.from_str(str(ours.recipient))]
    content = pyrage.encrypt(patterned(size), keys, armored=armored)
    assert open_envelope(io.BytesIO(content), [ours]).read() == patterned(size)


def test_pyrage_streams_what_we_seal():
    identity = generate_identity("x25519")
    target = io.BytesIO()
    pyrage.decrypt_io(
        io.BytesIO(sealed(patterned(3 * BATCH + 5), str(identity.recipient))),
        target,
        [pyrage.x25519.Identity.from_str(identity.secret_text())],
    )
    assert target.getvalue() == patterned(3 * BATCH + 5)


def test_pyrage_reads_our_armor():
    identity = generate_identity("x25519")
    target = io.BytesIO()
    armor = ArmorWriter(target)
    armor.write(sealed(b"text", str(identity.recipient)))
    armor.close()
    assert pyrage.decrypt(target.getvalue(), [pyrage.x25519.Identity.from_str(identity.secret_text())]) == b"text"


def test_keys_are_the_same_text_on_both_sides():
    theirs = pyrage.x25519.Identity.generate()
    (ours,) = parse_identities(str(theirs))
    assert str(ours.recipient) == str(theirs.to_public())
    assert ours.secret_text() == str(theirs)


@pytest.mark.parametrize("place", [0, 30, 100, 170, -17, -1])
def test_what_pyrage_refuses_we_refuse(place):
    identity = generate_identity("x25519")
    content = bytearray(sealed(b"text", str(identity.recipient)))
    content[place] ^= 1
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(bytes(content), [pyrage.x25519.Identity.from_str(identity.secret_text())])
    with pytest.raises(EnvelopeError):
        open_envelope(io.BytesIO(content), [identity]).read()


def test_pyrage_says_no_to_a_post_quantum_file_as_it_does_not_know_the_kind():
    """Why the page for recipients names other programs for those: this must fail, not open something else."""
    identity = generate_identity("hybrid")
    other = pyrage.x25519.Identity.generate()
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed(b"text", str(identity.recipient)), [other])
