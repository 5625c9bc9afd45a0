"""Each defect of an envelope is told in its own sentence, which names the layer and shows nothing of the content."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from functools import partial

import pytest

from core.errors import GlaError, KeyUnusable
from keys.envelope.armor import BEGIN, END, dearmor
from keys.envelope.errors import ArmorInvalid, HeaderInvalid, HmacMismatch, NoMatchingKey, PayloadInvalid
from keys.envelope.format import Header, Stanza, b64decode, b64encode, parse_header
from keys.envelope.inspection import inspect
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import Sealer
from keys.envelope.stream import CHUNK, SEALED_CHUNK, payload_cipher
from keys.private.identities import Identity, generate_identity, parse_identities
from keys.private.opening import open_into, open_pieces

Seal = Callable[..., bytes]
KEY = generate_identity("x25519")


def expect(kind: type[GlaError], sentence: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind, match=f"^{re.escape(sentence)}$") as refusal:
        call()
    assert refusal.value.__context__ is None


SHORT = "the armored file has a short line before its END line"
NO_BEGIN = "the armored file has no BEGIN line"
OTHER_BEGIN = "the armored file does not begin with its BEGIN line"
AFTER_END = "there is something after the END line of the armored file"
NO_END = "the armored file has no END line: it is cut off"
NOT_CANONICAL = "the armored file has a line that is not canonical base64 of at most 64 characters"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"", NO_BEGIN),
        (b"\n" * 65_537 + BEGIN + b"\nQUJD\n" + END, NO_BEGIN),
        (b"-" + BEGIN, OTHER_BEGIN),
        (BEGIN + b"\nQUJD\nQUJD\n" + END, SHORT),
        (BEGIN + b"\nQUJD\n", NO_END),
        (BEGIN + b"\nQUJD\n" + END + b"\nx", AFTER_END),
        (BEGIN + b"\nQUJD\n" + END + b"\n" + b" " * 65_536, AFTER_END),
        (BEGIN + b"\nQR==\n" + END, NOT_CANONICAL),
        (BEGIN + b"\nQUJ*\n" + END, NOT_CANONICAL),
        (BEGIN + b"\n" + b"QUJD" * 17 + b"\n" + END, NOT_CANONICAL),
        (BEGIN + b"\n\n" + END, NOT_CANONICAL),
    ],
)
def test_armor(text: bytes, sentence: str) -> None:
    expect(ArmorInvalid, sentence, lambda: b"".join(dearmor(io.BytesIO(text))))


def test_whitespace_around_the_armor_up_to_its_limit_is_none_of_its_defects() -> None:
    text = b"\n" * 65_536 + BEGIN + b"\nQUJD\n" + END + b"\n" + b" " * 65_535
    assert b"".join(dearmor(io.BytesIO(text[:-1]))) == b"ABC"


START = b"age-encryption.org/v1\n"
MAC = b"--- " + b"A" * 43 + b"\n"
BASE64 = "the header of the encrypted file holds base64 that is not canonical"
NO_PARTS = "the header of the encrypted file has no recipient or no MAC"
CUT = "the header of the encrypted file is cut off, or too long to be honest"
MIXED = "the header mixes a passphrase with other recipients, which the format forbids"
LONG_BODY = "the header of the encrypted file has a body line that is too long"
MALFORMED = "the header of the encrypted file has a malformed recipient line"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"age-encryption.org/v2\n" + MAC, "this is not an encrypted file of the age v1 format"),
        (START + MAC, NO_PARTS),
        (START + b"-> a\n\n---\n", NO_PARTS),
        (START + b"-> a\n\n---" + b"A" * 43 + b"\n", NO_PARTS),
        (START + b"-> scrypt\n\n-> a\n\n" + MAC, MIXED),
        (START + b"-> a\n\n-> scrypt\n\n" + MAC, MIXED),
        (START + b"-> a\n\n--- QUJD\n", "the MAC of the header has the wrong length"),
        (START + b"-> a\n\n--- QR\n", BASE64),
        (START + b"-> a\n\n--- \xe9\n", BASE64),
        (START + b"-> a\nQQ==\n" + MAC, BASE64),
        (START + b"-> a\n\xe9\n" + MAC, BASE64),
        (START + b"-> a\n\n", CUT),
        (START + b"-> a\n", CUT),
        (b"", CUT),
        (START + b"->  a\n\n" + MAC, MALFORMED),
        (START + b"a\n\n" + MAC, MALFORMED),
        (START + b"-> a\n" + b"A" * 65 + b"\n" + MAC, LONG_BODY),
    ],
)  # fmt: skip
def test_headers(text: bytes, sentence: str) -> None:
    expect(HeaderInvalid, sentence, lambda: parse_header(io.BytesIO(text)))


def test_a_passphrase_alone_is_no_defect() -> None:
    assert parse_header(io.BytesIO(START + b"-> scrypt\n\n" + MAC)).stanzas[0].kind == "scrypt"


def test_an_altered_header(seal: Seal) -> None:
    source = io.BytesIO(seal(b"content", KEY))
    header = parse_header(source)
    altered = Header(header.stanzas, bytes(32)).serialise() + source.read()
    sentence = "the header of the encrypted file was altered: ask the sender for the file again"
    expect(HmacMismatch, sentence, lambda: open_pieces(io.BytesIO(altered), [KEY]))


def test_a_file_that_ends_with_its_header(seal: Seal) -> None:
    source = io.BytesIO(seal(b"content", KEY))
    cut = parse_header(source).serialise() + source.read(15)
    sentence = "the encrypted file is cut off right after its header"
    expect(HeaderInvalid, sentence, lambda: open_pieces(io.BytesIO(cut), [KEY]))
    expect(HeaderInvalid, sentence, lambda: inspect(io.BytesIO(cut)))


def test_a_length_that_no_file_has(seal: Seal) -> None:
    cut = seal(b"", KEY)[:-1]
    sentence = "the encrypted content is cut off or extended: no whole file has this length"
    expect(PayloadInvalid, sentence, lambda: inspect(io.BytesIO(cut)))


def test_a_file_for_somebody_else(seal: Seal) -> None:
    sealed = seal(b"content", generate_identity("x25519"))
    sentence = "none of the given private keys opens this file: it was sealed for another key"
    expect(NoMatchingKey, sentence, lambda: open_pieces(io.BytesIO(sealed), [KEY]))


def altered(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    ("chunks", "change", "sentence"),
    [
        (2, lambda data: data[:-SEALED_CHUNK], "the encrypted content is cut off"),
        (1, lambda data: data + bytes(16), "there is something after the encrypted content"),
        (1, lambda data: data + bytes(SEALED_CHUNK), "there is something after the encrypted content"),
        (1, altered, "the encrypted content is cut off, extended or altered"),
        (1, lambda data: data[:-1], "the encrypted content is cut off, extended or altered"),
        (1, lambda data: data[: -CHUNK - 1], "the encrypted content is cut off, extended or altered"),
    ],
)
def test_content(chunks: int, change: Callable[[bytes], bytes], sentence: str, seal: Seal) -> None:
    changed = change(seal(bytes(chunks * CHUNK), KEY))
    sentence += ": fetch the file again, or ask the sender"
    expect(PayloadInvalid, sentence, lambda: list(open_pieces(io.BytesIO(changed), [KEY])))
    expect(PayloadInvalid, sentence, lambda: open_into(io.BytesIO(changed), [KEY], io.BytesIO(), threads=2))


def test_an_empty_final_chunk_after_others() -> None:
    file_key, nonce = b"YELLOW SUBMARINE", bytes(16)
    cipher = payload_cipher(file_key, nonce)
    chunks = [
        cipher.encrypt(number.to_bytes(11, "big") + final, plain, None)
        for number, final, plain in ((0, b"\0", bytes(CHUNK)), (1, b"\1", b""))
    ]
    data = Header.sealed((KEY.recipient.wrap(file_key),), file_key).serialise() + nonce + b"".join(chunks)
    sentence = "the encrypted content ends in an empty chunk: fetch the file again, or ask the sender"
    expect(PayloadInvalid, sentence, lambda: list(open_pieces(io.BytesIO(data), [KEY])))
    expect(PayloadInvalid, sentence, lambda: open_into(io.BytesIO(data), [KEY], io.BytesIO(), threads=2))


def test_stanzas_of_our_kind(identity: Identity) -> None:
    whole = identity.recipient.wrap(bytes(16))
    kind, share = whole.kind, b64decode(whole.arguments[1])
    for stanza in (
        Stanza((kind,), whole.body),
        Stanza((*whole.arguments, "x"), whole.body),
        Stanza((kind, b64encode(share[:-1])), whole.body),
        Stanza((kind, b64encode(share + b"x")), whole.body),
        Stanza(whole.arguments, whole.body[:-1]),
        Stanza(whole.arguments, whole.body + b"x"),
    ):
        unwrap = partial(identity.unwrap, stanza)
        expect(HeaderInvalid, f"the header has a malformed recipient of the kind {kind}", unwrap)
    insecure = partial(identity.unwrap, Stanza((kind, "A" * len(whole.arguments[1])), whole.body))
    expect(HeaderInvalid, f"the header has a recipient of the kind {kind} with an insecure share", insecure)
    assert identity.unwrap(Stanza(("other", "x"), b"")) is None


def test_keys() -> None:
    expect(KeyUnusable, "the key file holds no private key", lambda: parse_identities("# created\n\n"))
    sentence = "line 2 of the key file is not a private key of the form AGE-SECRET-KEY-..."
    expect(KeyUnusable, sentence, lambda: parse_identities("# created\nsecret\n"))
    sentence = "this is not a public key of the form age1pq1... (hybrid) or age1... (X25519)"
    expect(KeyUnusable, sentence, lambda: parse_recipient("age1"))
    sentence = "this is a PRIVATE key, not a public one: treat it as leaked, make a new one, give only the age1... text"
    for text in (
        KEY.secret_text(),
        "AGE-PLUGIN-YUBIKEY-1QQ",
        "-----BEGIN {} KEY-----".format("OPENSSH PRIVATE"),
        "PuTTY-User-Key-File-3",
    ):
        expect(KeyUnusable, sentence, partial(parse_recipient, text))
        expect(KeyUnusable, sentence, partial(parse_recipient, text.lower()))


def test_recipients_that_cannot_share_a_file() -> None:
    hybrid = generate_identity("hybrid").recipient
    expect(KeyUnusable, "there is no public key to seal to", lambda: Sealer(io.BytesIO(), []))
    sentence = "hybrid (age1pq1...) and X25519 (age1...) keys may not share a file: use one kind"
    expect(KeyUnusable, sentence, lambda: Sealer(io.BytesIO(), [hybrid, KEY.recipient]))


def test_an_identity_shows_whose_it_is(identity: Identity) -> None:
    assert repr(identity) == f"<private key of {identity.recipient.fingerprint}>"
    assert repr(identity.recipient) == f"<recipient {identity.recipient.fingerprint}>"
