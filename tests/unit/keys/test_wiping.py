"""File keys and what is derived from them are zeros when the call that used them has ended."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from keys.envelope import format as age_format
from keys.envelope import stream
from keys.envelope.errors import HmacMismatch
from keys.envelope.format import Header, Stanza, parse_header
from keys.envelope.recipients import Recipient
from keys.envelope.seal import Sealer
from keys.envelope.wiping import wiped
from keys.private import identities
from keys.private.identities import Identity, generate_identity
from keys.private.opening import open_pieces

Seal = Callable[..., bytes]


class Watching(Identity):
    """An identity that keeps hold of the file keys it gave out."""

    def __init__(self, inner: Identity) -> None:
        self._inner, self.kind, self.recipient = inner, inner.kind, inner.recipient  # type: ignore[misc]
        self.given: list[bytearray] = []

    def unwrap(self, stanza: Stanza) -> bytearray | None:
        file_key = self._inner.unwrap(stanza)
        if file_key is not None:
            assert any(file_key)
            self.given.append(file_key)
        return file_key

    def _open(self, share: bytes, body: bytes) -> bytearray:
        raise NotImplementedError


def test_a_buffer_is_zeros_after_the_block_also_after_an_exception() -> None:
    with wiped(bytearray(b"secret")) as secret:
        assert secret == b"secret"
    assert secret == bytes(6)

    def failing(buffer: bytearray) -> None:
        with wiped(buffer):
            raise RuntimeError

    other = bytearray(b"other")
    with pytest.raises(RuntimeError):
        failing(other)
    assert other == bytes(5)


def test_the_file_key_is_wiped_before_the_first_byte_is_read(identity: Identity, seal: Seal) -> None:
    watching = Watching(identity)
    pieces = open_pieces(io.BytesIO(seal(b"content", identity)), [watching])
    assert watching.given == [bytearray(16)]
    assert b"".join(bytes(piece) for piece in pieces) == b"content"


def test_the_file_key_is_wiped_when_the_header_was_altered(identity: Identity, seal: Seal) -> None:
    source = io.BytesIO(seal(b"content", identity))
    header = parse_header(source)
    altered = Header((*header.stanzas, Stanza(("added",), b"")), header.mac).serialise() + source.read()
    watching = Watching(identity)
    with pytest.raises(HmacMismatch):
        open_pieces(io.BytesIO(altered), [watching])
    assert watching.given == [bytearray(16)]


def test_keys_that_are_derived_are_wiped_on_both_sides(monkeypatch: pytest.MonkeyPatch, seal: Seal) -> None:
    derived: list[bytearray] = []

    def watched(*arguments: bytes) -> bytearray:
        derived.append(original(*arguments))
        return derived[-1]

    original = age_format.derive
    import keys.envelope.recipients as recipients_module

    for module in (age_format, stream, identities, recipients_module):
        monkeypatch.setattr(module, "derive", watched)
    key = generate_identity("x25519")
    b"".join(bytes(piece) for piece in open_pieces(io.BytesIO(seal(b"content", key)), [key]))
    assert derived == [bytearray(32)] * 6  # wrapping, header and payload, of both sides


def test_the_file_key_is_wiped_after_sealing() -> None:
    class Watched(Recipient):
        prefix, kind, is_hybrid = "x", "x", False
        seen: list[bytearray] = []  # noqa: RUF012

        def wrap(self, file_key: bytearray) -> Stanza:  # type: ignore[override]
            assert any(file_key)
            self.seen.append(file_key)
            return Stanza(("x",), b"")

    Sealer(io.BytesIO(), [Watched(b"")]).close()
    assert Watched.seen == [bytearray(16)]
