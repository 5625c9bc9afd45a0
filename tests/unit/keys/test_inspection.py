from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from core.errors import EnvelopeError
from keys.envelope.armor import ArmorWriter
from keys.envelope.errors import HeaderInvalid, PayloadInvalid
from keys.envelope.format import Header, Stanza
from keys.envelope.inspection import Inspection, inspect
from keys.envelope.stream import CHUNK
from keys.private.identities import generate_identity

Seal = Callable[..., bytes]
ONE_EMPTY_CHUNK = bytes(16 + 16)  # the payload's nonce and a tag


def with_stanzas(*kinds: str, payload: bytes = ONE_EMPTY_CHUNK) -> bytes:
    return Header(tuple(Stanza((kind, "x"), b"body") for kind in kinds), bytes(32)).serialise() + payload


def seen(data: bytes) -> Inspection:
    return inspect(io.BytesIO(data))


@pytest.mark.parametrize(("size", "chunks"), [(0, 1), (1, 1), (CHUNK, 1), (CHUNK + 1, 2), (40 * CHUNK, 40)])
@pytest.mark.parametrize("armor", [False, True])
def test_sizes_and_chunks_are_those_of_the_content(size: int, chunks: int, seal: Seal, *, armor: bool) -> None:
    sealed = seal(bytes(size), generate_identity("x25519"))
    text = io.BytesIO(sealed)
    if armor:
        text = io.BytesIO()
        writer = ArmorWriter(text)
        writer.write(sealed)
        writer.close()
    found = seen(text.getvalue())
    assert (found.payload_size, found.chunks, found.armored) == (size, chunks, armor)
    sizes = found.as_json()["sizes"]
    assert isinstance(sizes, dict)
    assert sizes["header"] + sizes["overhead"] + sizes["min_payload"] == len(sealed)
    assert sizes["min_payload"] == sizes["max_payload"]


def test_what_programs_get_is_what_age_inspect_gives(seal: Seal) -> None:
    assert seen(seal(b"content", generate_identity("hybrid"))).as_json() == {
        "version": "age-encryption.org/v1",
        "postquantum": "yes",
        "armor": False,
        "stanza_types": ["mlkem768x25519"],
        "sizes": {"header": 1627, "overhead": 32, "min_payload": 7, "max_payload": 7},
        "chunks": 1,
    }


@pytest.mark.parametrize(
    ("kinds", "answer"),
    [
        (["X25519"], "no"),
        (["X25519", "X25519"], "no"),
        (["mlkem768x25519", "mlkem768x25519"], "yes"),
        (["mlkem768x25519", "odd-grease"], "yes"),
        (["scrypt"], "yes"),
        (["ssh-ed25519"], "no"),
        (["mlkem768x25519", "X25519"], "no"),  # the format forbids it, and the weakest decides
        (["mlkem768x25519", "future"], "unknown"),
        (["future"], "unknown"),
        (["future", "ssh-rsa"], "no"),
        (["odd-grease"], "unknown"),
    ],
)
def test_the_weakest_recipient_decides_the_strength(kinds: list[str], answer: str) -> None:
    found = seen(with_stanzas(*kinds))
    assert found.post_quantum == answer
    assert found.stanza_kinds == tuple(kinds)


@pytest.mark.parametrize("length", [0, 1, 15, CHUNK + 17, CHUNK + 31, CHUNK + 32, 2 * (CHUNK + 16) + 16])
def test_a_length_that_no_whole_file_has_is_told(length: int) -> None:
    with pytest.raises(PayloadInvalid, match="no whole file"):
        seen(with_stanzas("X25519", payload=bytes(16 + length)))


@pytest.mark.parametrize("nonce", [0, 15])
def test_a_file_that_ends_in_its_nonce_is_cut_off(nonce: int) -> None:
    with pytest.raises(HeaderInvalid, match="cut off"):
        seen(with_stanzas("X25519", payload=bytes(nonce)))


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04", b"age-encryption.org/v2\n", b"-----BEGIN AGE ENCRYPTED FILE-----\n?"]
)
def test_what_is_no_age_file_is_refused_in_our_words(data: bytes) -> None:
    with pytest.raises(EnvelopeError):
        seen(data)
