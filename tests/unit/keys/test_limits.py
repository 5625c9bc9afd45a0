"""What is endless, huge or many is refused in bounded memory and time, and what is honest but large works."""

from __future__ import annotations

import io
import time
import tracemalloc
from collections.abc import Callable

import pytest

from core.errors import EnvelopeError, KeyUnusable
from keys.envelope import bech32
from keys.envelope.errors import HeaderInvalid
from keys.envelope.format import HEADER_LIMIT, LINE_LIMIT, STANZA_LIMIT, Header, Stanza, parse_header
from keys.envelope.inspection import inspect
from keys.envelope.recipients import parse_recipient
from keys.envelope.seal import Sealer
from keys.private.identities import generate_identity, parse_identities
from keys.private.opening import open_pieces

KEY = generate_identity("x25519")
GIGABYTE = 1 << 30
START = b"age-encryption.org/v1\n"


class Generated(io.RawIOBase):
    """A stream of `size` bytes: `start`, then `block` over and over. It counts what was taken."""

    def __init__(self, start: bytes, block: bytes, size: int = GIGABYTE) -> None:
        self._start, self._block, self._size, self.taken = start, block, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), self._size - self.taken)
        offset = self.taken - len(self._start)
        if offset < 0:
            count = min(count, -offset)
            buffer[:count] = self._start[self.taken : self.taken + count]
        else:
            shift = offset % len(self._block)
            repeated = self._block * (count // len(self._block) + 2)
            buffer[:count] = repeated[shift : shift + count]
        self.taken += count
        return count


ENDLESS = {
    "one line": (START + b"-> ", b"a"),
    "arguments": (START + b"->", b" a"),
    "a body": (START + b"-> a\n", b"A" * 64 + b"\n"),
    "small recipients": (START, b"-> a\n\n"),
    "recipients of many arguments": (START, b"->" + b" bc" * 64 + b"\n\n"),
    "too many arguments": (START, b"->" + b" bc" * 65 + b"\n\n"),
    "recipients with a body": (START, b"-> X25519 abc\n" + (b"A" * 64 + b"\n") * 30 + b"AA\n"),
    "hybrid recipients": (START, b"-> mlkem768x25519 " + b"A" * 1494 + b"\n" + b"A" * 43 + b"\n"),
    "a first line": (b"age-encryption.org/", b"v"),
    "a MAC": (START + b"-> a\n\n--- ", b"A"),
    "zeros": (b"", b"\0"),
    "armor without an end": (b"-----BEGIN AGE ENCRYPTED FILE-----\n", b"QUJD" * 16 + b"\n"),
    "armor in one line": (b"-----BEGIN AGE ENCRYPTED FILE-----\n", b"Q"),
    "a first line of armor": (b" AGE ENCRYPTED", b"\t"),
    "blank lines before armor": (b"\n-----BEGIN AGE ENCRYPTED", b"\n"),
}


def refused(read: Callable[[io.RawIOBase], object], shape: str) -> tuple[int, int]:
    """Bytes taken from a gigabyte, and the peak of memory."""
    source = Generated(*ENDLESS[shape])
    tracemalloc.start()
    try:
        with pytest.raises(EnvelopeError):
            read(source)
        return source.taken, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("shape", sorted(ENDLESS))
def test_a_header_of_a_gigabyte_is_refused_in_bounded_memory_and_time(shape: str) -> None:
    started = time.process_time()
    taken, peak = refused(lambda source: open_pieces(source, [KEY]), shape)
    assert taken < HEADER_LIMIT + 1024 * 1024
    assert peak < 64 * 1024 * 1024
    assert time.process_time() - started < 20  # under the tracing of memory; a second without


@pytest.mark.parametrize("shape", ["a body", "small recipients", "zeros"])
def test_inspection_has_the_same_limits(shape: str) -> None:
    taken, peak = refused(inspect, shape)
    assert taken < HEADER_LIMIT + 1024 * 1024
    assert peak < 64 * 1024 * 1024


def header_of(*stanzas: Stanza) -> bytes:
    return Header(stanzas, bytes(32)).serialise()


def test_as_many_recipients_as_the_limit_are_read_and_not_one_more() -> None:
    stanza = Stanza(("x",), b"")
    assert len(parse_header(io.BytesIO(header_of(*[stanza] * STANZA_LIMIT))).stanzas) == STANZA_LIMIT
    with pytest.raises(HeaderInvalid, match="4096 recipients"):
        parse_header(io.BytesIO(header_of(*[stanza] * (STANZA_LIMIT + 1))))


def test_a_line_of_the_limit_is_read_and_not_one_byte_more() -> None:
    longest = "a" * (LINE_LIMIT - len("-> \n"))
    assert parse_header(io.BytesIO(header_of(Stanza((longest,), b"")))).stanzas[0].kind == longest
    with pytest.raises(HeaderInvalid, match="too long"):
        parse_header(io.BytesIO(header_of(Stanza((longest + "a",), b""))))


def test_sixty_four_arguments_are_read_and_not_one_more() -> None:
    assert len(parse_header(io.BytesIO(header_of(Stanza(("a",) * 64, b"")))).stanzas[0].arguments) == 64
    with pytest.raises(HeaderInvalid, match="malformed"):
        parse_header(io.BytesIO(header_of(Stanza(("a",) * 65, b""))))


def test_a_header_of_the_limit_is_read_and_not_one_byte_more() -> None:
    def of_length(size: int) -> bytes:
        body = bytes(48 * 2000)
        stanzas = [Stanza(("x",), body)] * ((size - 100) // len(Stanza(("x",), body).serialise()))
        rest = size - len(header_of(*stanzas))
        lines, width = divmod(rest - len(Stanza(("y",), b"").serialise()) - 1000, 65)
        padded = Stanza(("y" * (1001 + width),), bytes(48 * lines))
        return header_of(*stanzas, padded)

    assert len(of_length(HEADER_LIMIT)) == HEADER_LIMIT
    parse_header(io.BytesIO(of_length(HEADER_LIMIT)))
    with pytest.raises(HeaderInvalid, match="too long"):
        parse_header(io.BytesIO(of_length(HEADER_LIMIT + 1)))


def test_more_recipients_than_we_would_open_are_not_sealed_to() -> None:
    target = io.BytesIO()
    with pytest.raises(KeyUnusable, match="at most 4096"):
        Sealer(target, [KEY.recipient] * (STANZA_LIMIT + 1))
    assert target.getvalue() == b""


def test_as_many_recipients_as_we_would_open_are_sealed_to() -> None:
    target = io.BytesIO()
    with Sealer(target, [KEY.recipient] * STANZA_LIMIT) as sealer:
        sealer.write(b"content")
    assert bytes(next(open_pieces(io.BytesIO(target.getvalue()), [KEY]))) == b"content"


def test_as_many_hybrid_recipients_as_the_limit_fit_in_a_header() -> None:
    stanza = generate_identity("hybrid").recipient.wrap(bytes(16))
    assert len(header_of(*[stanza] * STANZA_LIMIT)) < HEADER_LIMIT


def test_a_key_file_of_one_endless_line_is_refused_at_once() -> None:
    started = time.process_time()
    with pytest.raises(KeyUnusable, match="line 1"):
        parse_identities("AGE-SECRET-KEY-1" + "Q" * 16_000_000)
    assert time.process_time() - started < 2


def test_a_key_file_holds_a_thousand_keys_and_not_one_more() -> None:
    lines = [KEY.secret_text()] * 1000
    assert len(parse_identities("\n".join(lines))) == 1000
    with pytest.raises(KeyUnusable, match="more than 1000"):
        parse_identities("\n".join([*lines, lines[0]]))


@pytest.mark.parametrize("text", ["age1" + "q" * 10_000_000, "AGE-PLUGIN-" * 1_000_000, " " * 10_000_000])
def test_an_endless_public_key_is_refused_at_once(text: str) -> None:
    started = time.process_time()
    with pytest.raises(KeyUnusable):
        parse_recipient(text)
    assert time.process_time() - started < 2


def test_a_key_of_the_right_form_with_more_data_is_refused() -> None:
    with pytest.raises(KeyUnusable):
        parse_recipient(bech32.encode("age", bytes(range(33))))
    with pytest.raises(KeyUnusable):
        parse_identities(bech32.encode("AGE-SECRET-KEY-", bytes(range(33))))
