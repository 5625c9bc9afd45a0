"""An attacker changes age files in every way that he can without a key: none opens, crashes us or leaves output.

`make test` tries a sample, `make soak` 100,000 files and as many headers. Each is made from its own number, so that a
failure can be made again.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.errors import EnvelopeError
from keys.envelope.armor import ArmorWriter, dearmor
from keys.envelope.format import Header, Stanza, parse_header
from keys.envelope.inspection import inspect
from keys.envelope.seal import Sealer
from keys.envelope.stream import CHUNK, PAYLOAD_NONCE_LENGTH, SEALED_CHUNK
from keys.private.identities import Identity, generate_identity
from keys.private.opening import decrypt_file
from tests.soak import examples

FILES = examples(2_000, soak=100_000)
SIZES = {
    "binary": (0, 5, CHUNK, 3 * CHUNK + 100),
    "armored": (0, 5, 3_000),
}  # text is slow, and its chunks are the same


@dataclass(frozen=True)
class Sealed:
    """A file in its parts."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    nonce: bytes
    chunks: tuple[bytes, ...]

    @classmethod
    def read(cls, data: bytes) -> Sealed:
        source = io.BytesIO(data)
        header = parse_header(source)
        nonce, rest = source.read(PAYLOAD_NONCE_LENGTH), source.read()
        chunks = tuple(rest[start : start + SEALED_CHUNK] for start in range(0, len(rest), SEALED_CHUNK))
        return cls(header.stanzas, header.mac, nonce, chunks)

    def joined(
        self,
        *,
        stanzas: Sequence[Stanza] | None = None,
        mac: bytes | None = None,
        nonce: bytes | None = None,
        chunks: Sequence[bytes] | None = None,
    ) -> bytes:
        """The file again, with some of its parts replaced."""
        header = Header(self.stanzas if stanzas is None else tuple(stanzas), self.mac if mac is None else mac)
        parts = self.chunks if chunks is None else chunks
        return header.serialise() + (self.nonce if nonce is None else nonce) + b"".join(parts)


def sealed(size: int, keys: Sequence[Identity]) -> bytes:
    target = io.BytesIO()
    with Sealer(target, [key.recipient for key in keys]) as sealer:
        sealer.write(random.Random(size).randbytes(size))
    return target.getvalue()


def armored(data: bytes) -> bytes:
    target = io.BytesIO()
    writer = ArmorWriter(target)
    writer.write(data)
    writer.close()
    return target.getvalue()


# Changes of bytes, whatever they mean.


def flip_a_bit(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]


def flip_a_bit_near_the_start(data: bytes, draw: random.Random) -> bytes:
    return flip_a_bit(data[:400], draw) + data[400:]


def replace_a_byte(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([draw.randrange(256)]) + data[at + 1 :]


def cut_the_end(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.choice([draw.randrange(len(data)), len(data) - draw.randrange(1, 40)])]


def cut_the_start(data: bytes, draw: random.Random) -> bytes:
    return data[draw.randrange(1, len(data)) :]


def insert(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data) + 1)
    return data[:at] + draw.randbytes(draw.choice([1, 2, 16, 1000])) + data[at:]


def append(data: bytes, draw: random.Random) -> bytes:
    return data + draw.choice([draw.randbytes(draw.randrange(1, 100)), bytes(draw.choice([1, 16, SEALED_CHUNK]))])


def delete(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + data[at + draw.choice([1, 2, 16, 1000, SEALED_CHUNK]) :]


def repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    return data[:start] + data[start : start + draw.choice([1, 16, SEALED_CHUNK])] + data[start:]


def overwrite_with_zeros(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    length = min(len(data) - at, draw.choice([1, 16, 32, 1000]))
    return data[:at] + bytes(length) + data[at + length :]


# Changes of parts, made with the format in mind.


def reorder_chunks(file: Sealed, _other: Sealed, draw: random.Random) -> bytes:
    return file.joined(chunks=draw.sample(file.chunks, len(file.chunks)))


def drop_or_repeat_chunks(file: Sealed, _other: Sealed, draw: random.Random) -> bytes:
    return file.joined(chunks=draw.choices(file.chunks, k=draw.randrange(len(file.chunks) + 3)))


def repeat_the_final_chunk(file: Sealed, _other: Sealed, _draw: random.Random) -> bytes:
    return file.joined(chunks=[*file.chunks, file.chunks[-1]])


def take_a_chunk_of_another_file(file: Sealed, other: Sealed, draw: random.Random) -> bytes:
    chunks = list(file.chunks)
    chunks[draw.randrange(len(chunks))] = draw.choice(other.chunks)
    return file.joined(chunks=chunks)


def take_all_chunks_of_another_file(file: Sealed, other: Sealed, draw: random.Random) -> bytes:
    return file.joined(chunks=other.chunks, nonce=draw.choice([file.nonce, other.nonce]))


def take_the_nonce_of_another_file(file: Sealed, other: Sealed, _draw: random.Random) -> bytes:
    return file.joined(nonce=other.nonce)


def swap_stanzas(file: Sealed, _other: Sealed, draw: random.Random) -> bytes:
    return file.joined(stanzas=draw.sample(file.stanzas, len(file.stanzas)))


def drop_or_repeat_stanzas(file: Sealed, _other: Sealed, draw: random.Random) -> bytes:
    return file.joined(stanzas=draw.choices(file.stanzas, k=draw.randrange(len(file.stanzas) + 3)))


def add_a_stanza(file: Sealed, other: Sealed, draw: random.Random) -> bytes:
    added = draw.choice([*other.stanzas, Stanza(("odd-grease", "x"), draw.randbytes(32)), Stanza(("scrypt",), b"")])
    stanzas = list(file.stanzas)
    stanzas.insert(draw.randrange(len(stanzas) + 1), added)
    return file.joined(stanzas=stanzas)


def take_the_header_of_another_file(file: Sealed, other: Sealed, draw: random.Random) -> bytes:
    return file.joined(stanzas=other.stanzas, mac=draw.choice([file.mac, other.mac]))


def take_a_stanza_of_another_file(file: Sealed, other: Sealed, draw: random.Random) -> bytes:
    stanzas = list(file.stanzas)
    stanzas[draw.randrange(len(stanzas))] = draw.choice(other.stanzas)
    return file.joined(stanzas=stanzas)


def change_a_stanza(file: Sealed, _other: Sealed, draw: random.Random) -> bytes:
    stanzas = list(file.stanzas)
    at = draw.randrange(len(stanzas))
    chosen = stanzas[at]
    stanzas[at] = draw.choice(
        [
            Stanza(chosen.arguments, flip_a_bit(chosen.body, draw)),
            Stanza(chosen.arguments, chosen.body[: draw.randrange(len(chosen.body))]),
            Stanza(chosen.arguments, draw.randbytes(draw.randrange(200))),
            Stanza((*chosen.arguments, "more"), chosen.body),
            Stanza(chosen.arguments[:1], chosen.body),
            Stanza((chosen.kind, chosen.arguments[1][::-1]), chosen.body),
            Stanza((chosen.kind, "A" * len(chosen.arguments[1])), chosen.body),
            Stanza((draw.choice(["X25519", "mlkem768x25519", "scrypt", "other"]), "A" * 43), bytes(32)),
        ]
    )
    return file.joined(stanzas=stanzas)


def change_the_mac(file: Sealed, other: Sealed, draw: random.Random) -> bytes:
    return file.joined(mac=draw.choice([other.mac, bytes(32), flip_a_bit(file.mac, draw), file.mac[:-1]]))


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_a_bit, flip_a_bit_near_the_start, replace_a_byte, cut_the_end, cut_the_start, insert, append, delete, repeat,
    overwrite_with_zeros,
)  # fmt: skip
PARTS: tuple[Callable[[Sealed, Sealed, random.Random], bytes], ...] = (
    reorder_chunks, drop_or_repeat_chunks, repeat_the_final_chunk, take_a_chunk_of_another_file,
    take_all_chunks_of_another_file, take_the_nonce_of_another_file, swap_stanzas, drop_or_repeat_stanzas, add_a_stanza,
    take_the_header_of_another_file, take_a_stanza_of_another_file, change_a_stanza, change_the_mac,
)  # fmt: skip


def splice(one: bytes, other: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(one) + 1)
    return one[:at] + other[draw.choice([at, draw.randrange(len(other) + 1)]) :]


def damaged(one: bytes, other: bytes, draw: random.Random) -> bytes:
    """One change or, sometimes, a second on top of it."""
    way = draw.choice([*BYTES, *PARTS, splice])
    if way is splice:
        changed = splice(one, other, draw)
    elif way in PARTS:
        changed = way(Sealed.read(one), Sealed.read(other), draw)  # type: ignore[arg-type]
    else:
        changed = way(one, draw)  # type: ignore[call-arg, arg-type]
    return draw.choice(BYTES)(changed, draw) if changed and draw.randrange(8) == 0 else changed


def content_of_armor(text: bytes) -> bytes | None:
    try:
        return b"".join(dearmor(io.BytesIO(text)))
    except EnvelopeError:
        return None


@dataclass(frozen=True)
class Originals:
    """Two files of each size, sealed to the same two keys."""

    form: str
    keys: tuple[Identity, ...]
    files: tuple[bytes, ...]

    def case(self, number: int) -> bytes:
        """The damaged file of this number; drawn again while the damage makes no difference."""
        draw = random.Random(number)
        while (changed := self._drawn(draw)) is None:
            pass
        return changed

    def _drawn(self, draw: random.Random) -> bytes | None:
        one, other = draw.sample(self.files, 2)
        if self.form == "armored" and draw.randrange(2):
            changed = draw.choice(BYTES)(armored(one), draw)  # line ends and whitespace around it say nothing
            return None if content_of_armor(changed) in self.files else changed
        changed = damaged(one, other, draw)
        if changed in self.files:
            return None
        return armored(changed) if self.form == "armored" else changed


@pytest.fixture(scope="module", params=["hybrid binary", "hybrid armored", "x25519 binary", "x25519 armored"])
def originals(request: pytest.FixtureRequest) -> Originals:
    kind, form = request.param.split()
    keys = (generate_identity(kind), generate_identity(kind))
    return Originals(form, keys, tuple(sealed(size, keys) for size in SIZES[form] for _ in range(2)))


def test_no_damaged_file_opens_crashes_or_leaves_output(originals: Originals, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    for number in range(FILES // 4):  # there are four kinds of originals
        source.write_bytes(originals.case(number))
        try:
            decrypt_file(source, target, [originals.keys[number % 2]])
        except EnvelopeError:
            assert list(tmp_path.iterdir()) == [source], number
        else:
            pytest.fail(f"case {number} opened")


def test_damaged_files_are_inspected_or_refused_in_our_words(originals: Originals) -> None:
    for number in range(FILES // 20):
        with contextlib.suppress(EnvelopeError):
            inspect(io.BytesIO(originals.case(number)))


WORDS = (
    b"-> ",
    b"--- ",
    b"\n",
    b" ",
    b"age-encryption.org/v1\n",
    b"X25519",
    b"scrypt",
    b"A" * 43,
    b"A" * 64,
    b"=",
    b"\r\n",
)


def test_any_header_is_parsed_to_itself_or_refused_in_our_words(originals: Originals) -> None:
    parsed = 0
    for number in range(FILES // 4):
        draw = random.Random(number)
        file = Sealed.read(draw.choice(originals.files))
        data = file.joined(
            stanzas=[*file.stanzas[: draw.randrange(3)], Stanza(("s", "x"), draw.randbytes(draw.randrange(60)))]
        )
        for _ in range(draw.randrange(3)):
            at = draw.randrange(len(data))
            data = (
                data[:at] + draw.choice([b"", draw.choice(WORDS), draw.randbytes(1)]) + data[at + draw.randrange(3) :]
            )
        source = io.BytesIO(data)
        try:
            header = parse_header(source)
        except EnvelopeError:
            continue
        parsed += 1
        assert header.serialise() == data[: source.tell()], number
    assert parsed > FILES // 40
