from __future__ import annotations

import io

import pytest

from keys.envelope import format as age_format
from keys.envelope.errors import HeaderInvalid, HmacMismatch
from keys.envelope.format import HEADER_LIMIT, Header, Stanza, b64decode, b64encode, parse_header

FILE_KEY = b"YELLOW SUBMARINE"


@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 96, 1152])
def test_a_header_serialises_to_what_it_was_parsed_from(length: int) -> None:
    header = Header.sealed((Stanza(("kind", "an-argument"), bytes(length)), Stanza(("other",), b"")), FILE_KEY)
    source = io.BytesIO(header.serialise() + b"payload")
    parsed = parse_header(source)
    assert parsed == header
    assert parsed.serialise() == header.serialise()
    assert source.read() == b"payload"
    parsed.verify(FILE_KEY)


def test_a_header_whose_stanza_was_swapped_is_not_genuine() -> None:
    header = Header.sealed((Stanza(("a",), b"1"), Stanza(("b",), b"2")), FILE_KEY)
    with pytest.raises(HmacMismatch):
        Header(header.stanzas[::-1], header.mac).verify(FILE_KEY)


def test_a_header_without_an_end_is_refused_after_a_bounded_read() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:
            buffer[:] = b"a" * len(buffer)
            self.taken += len(buffer)
            return len(buffer)

    source = Endless()
    with pytest.raises(HeaderInvalid):
        parse_header(io.BufferedReader(source))
    assert source.taken < 2 * HEADER_LIMIT


def test_a_header_of_many_small_stanzas_is_refused_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    header = Header.sealed(tuple(Stanza(("x",), b"") for _ in range(1000)), FILE_KEY).serialise()
    assert len(parse_header(io.BytesIO(header)).stanzas) == 1000
    monkeypatch.setattr(age_format, "HEADER_LIMIT", len(header) - 1)
    with pytest.raises(HeaderInvalid):
        parse_header(io.BytesIO(header))


@pytest.mark.parametrize("text", ["QQ==", "QR", "Q", "Q Q", "QQ\n", "QQ\r", "Q-_A", "\u00e9\u00e9\u00e9\u00e9"])
def test_base64_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(HeaderInvalid):
        b64decode(text)


def test_base64_has_no_padding() -> None:
    assert b64encode(b"A") == "QQ"
    assert b64decode("QQ") == b"A"


@pytest.mark.parametrize(
    "text",
    [
        b"age-encryption.org/v2\n-> a\n\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\r\n-> a\n\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n--- " + b"A" * 43 + b"\n",  # no recipient at all
        b"age-encryption.org/v1\n-> a\n\n---" + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n-> a\n\n--- " + b"A" * 42 + b"\n",
        b"age-encryption.org/v1\n-> a\n\n--- " + b"A" * 43,
        b"age-encryption.org/v1\n->  a\n\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n-> a \n\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n-> a\x7f\n\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n-> a\n" + b"A" * 65 + b"\n\n--- " + b"A" * 43 + b"\n",
        b"age-encryption.org/v1\n-> a\n" + b"A" * 64 + b"\n--- " + b"A" * 43 + b"\n",  # no final short line
    ],
)
def test_a_malformed_header_is_refused(text: bytes) -> None:
    with pytest.raises(HeaderInvalid):
        parse_header(io.BytesIO(text))


def test_a_passphrase_beside_another_recipient_is_refused() -> None:
    header = Header.sealed((Stanza(("scrypt", "salt", "18"), bytes(32)), Stanza(("X25519", "x"), bytes(32))), FILE_KEY)
    with pytest.raises(HeaderInvalid, match="passphrase"):
        parse_header(io.BytesIO(header.serialise()))
