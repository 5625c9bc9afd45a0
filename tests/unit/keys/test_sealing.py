from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from keys.envelope.errors import EnvelopeError, NoMatchingKey, PayloadInvalid
from keys.envelope.seal import Sealer, seal_stream
from keys.envelope.stream import BATCH, CHUNK
from keys.private.identities import Identity, generate_identity
from keys.private.opening import decrypt_file, open_envelope, open_pieces

Seal = Callable[..., bytes]
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, BATCH - 1, BATCH, BATCH + 1, 7 * BATCH, 7 * BATCH + CHUNK]


def patterned(size: int) -> bytes:
    """Content in which every chunk differs from every other."""
    block = b"".join(number.to_bytes(8, "big") for number in range(size // 8 + 1))
    return block[:size]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_around_the_borders_opens_to_the_same(size: int, seal: Seal, unseal: Seal) -> None:
    key = generate_identity("x25519")
    assert unseal(seal(patterned(size), key), key) == patterned(size)


def test_both_kinds_of_key_open_their_files(identity: Identity, seal: Seal, unseal: Seal) -> None:
    assert unseal(seal(b"content", identity), identity) == b"content"


@pytest.mark.parametrize("step", [1000, CHUNK, BATCH, BATCH + 1, 3 * BATCH])
def test_how_the_content_is_cut_into_writes_does_not_matter(step: int, unseal: Seal) -> None:
    key, content, target = generate_identity("x25519"), patterned(3 * BATCH), io.BytesIO()
    with Sealer(target, [key.recipient]) as sealer:
        reused = bytearray(step)
        for start in range(0, len(content), step):
            part = content[start : start + step]
            reused[: len(part)] = part
            assert sealer.write(memoryview(reused)[: len(part)]) == len(part)
        assert sealer.tell() == len(content)
    assert unseal(target.getvalue(), key) == content


@pytest.mark.parametrize("size", SIZES)
def test_sealing_a_stream_is_the_same_as_writing(size: int, unseal: Seal) -> None:
    key, target = generate_identity("x25519"), io.BytesIO()
    seal_stream(io.BytesIO(patterned(size)), target, [key.recipient])
    assert unseal(target.getvalue(), key) == patterned(size)


def test_wider_elements_are_counted_in_bytes(unseal: Seal) -> None:
    key, target = generate_identity("x25519"), io.BytesIO()
    with Sealer(target, [key.recipient]) as sealer:
        assert sealer.write(memoryview(b"12345678").cast("I")) == 8
    assert unseal(target.getvalue(), key) == b"12345678"


def test_each_of_many_recipients_can_open(seal: Seal, unseal: Seal) -> None:
    keys = [generate_identity("hybrid") for _ in range(50)]
    sealed = seal(b"content", *keys)
    assert all(unseal(sealed, key) == b"content" for key in keys)
    assert unseal(sealed, generate_identity("x25519"), keys[7]) == b"content"


def test_a_thousand_recipients_fit_in_a_header(seal: Seal, unseal: Seal) -> None:
    key = generate_identity("hybrid")
    sealed = seal(b"content", *[key] * 1000)
    assert unseal(sealed, key) == b"content"


def test_another_key_does_not_open(identity: Identity, seal: Seal, unseal: Seal) -> None:
    with pytest.raises(NoMatchingKey):
        unseal(seal(b"content", identity), generate_identity("hybrid"), generate_identity("x25519"))


def test_two_files_of_one_content_share_no_key_and_no_nonce(identity: Identity, seal: Seal) -> None:
    first, second = seal(b"content" * 10, identity), seal(b"content" * 10, identity)
    assert first[-86:] != second[-86:]


def test_half_a_file_after_an_exception_never_opens(unseal: Seal) -> None:
    key, target = generate_identity("x25519"), io.BytesIO()

    def interrupted() -> None:
        with Sealer(target, [key.recipient]) as sealer:
            sealer.write(patterned(2 * BATCH))
            sealer.close()  # what a nested writer does on its way out
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    with pytest.raises(EnvelopeError):
        unseal(target.getvalue(), key)


@pytest.mark.parametrize("wrap", ["zstd", "parquet"])
def test_a_nested_writer_that_closes_on_an_exception_does_not_complete_the_file(wrap: str, unseal: Seal) -> None:
    key, target = generate_identity("x25519"), io.BytesIO()
    table = pa.table({"a": list(range(1000))})

    def interrupted() -> None:
        with Sealer(target, [key.recipient]) as sealer:
            if wrap == "zstd":
                with zstandard.ZstdCompressor().stream_writer(sealer) as writer:
                    writer.write(b"content")
                    raise RuntimeError
            with pq.ParquetWriter(pa.PythonFile(sealer, mode="w"), table.schema) as parquet:
                parquet.write_table(table)
                raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    with pytest.raises(EnvelopeError):
        unseal(target.getvalue(), key)


def test_parquet_and_zstd_writers_take_it_for_a_file(unseal: Seal) -> None:
    key, parquet, packed = generate_identity("x25519"), io.BytesIO(), io.BytesIO()
    table = pa.table({"a": list(range(200_000))})
    with Sealer(parquet, [key.recipient]) as sealer:
        pq.write_table(table, pa.PythonFile(sealer, mode="w"))
    assert pq.read_table(pa.BufferReader(unseal(parquet.getvalue(), key))).equals(table)
    with Sealer(packed, [key.recipient]) as sealer, zstandard.ZstdCompressor().stream_writer(sealer) as writer:
        writer.write(b"content")
    assert zstandard.ZstdDecompressor().decompressobj().decompress(unseal(packed.getvalue(), key)) == b"content"


class Full(io.BytesIO):
    """A disk with room for `room` bytes."""

    room = BATCH

    def write(self, data: bytes) -> int:
        if self.tell() + len(data) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_is_reported_and_nothing_more_is_written(unseal: Seal) -> None:
    key, target = generate_identity("x25519"), Full()
    sealer = Sealer(target, [key.recipient])
    with pytest.raises(OSError, match="No space"):
        sealer.write(patterned(20 * BATCH))
    written = target.getvalue()
    with pytest.raises(ValueError, match="closed"):
        sealer.write(b"more")
    sealer.close()
    assert target.getvalue() == written
    with pytest.raises(EnvelopeError):
        unseal(written, key)


def test_a_full_disk_that_the_caller_ignores_still_fails_the_block() -> None:
    def careless() -> None:
        with Sealer(Full(), [generate_identity("x25519").recipient]) as sealer, suppress(OSError):
            sealer.write(patterned(20 * BATCH))

    with pytest.raises(ValueError, match="abandoned"):
        careless()


def test_a_target_that_takes_a_part_at_a_time_gets_everything(unseal: Seal) -> None:
    class Slow(io.BytesIO):
        def write(self, data: bytes) -> int:
            return super().write(memoryview(data)[:10_000])

    key, target = generate_identity("x25519"), Slow()
    with Sealer(target, [key.recipient]) as sealer:
        sealer.write(patterned(BATCH + 5))
    assert unseal(target.getvalue(), key) == patterned(BATCH + 5)


def test_a_closed_envelope_takes_nothing_and_closes_once() -> None:
    target = io.BytesIO()
    sealer = Sealer(target, [generate_identity("x25519").recipient])
    sealer.close()
    done = target.getvalue()
    sealer.close()
    assert target.getvalue() == done
    assert sealer.closed
    with pytest.raises(ValueError, match="closed"):
        sealer.write(b"x")


def test_a_reader_gives_the_same_through_small_reads(seal: Seal) -> None:
    key = generate_identity("x25519")
    with open_envelope(io.BytesIO(seal(patterned(CHUNK * 2 + 3), key)), [key]) as reader:
        assert b"".join(iter(lambda: reader.read(4097), b"")) == patterned(CHUNK * 2 + 3)


def test_a_reader_closes_without_the_source(seal: Seal) -> None:
    key = generate_identity("x25519")
    source = io.BytesIO(seal(b"content", key))
    with open_envelope(source, [key]) as reader:
        reader.read(1)
    assert not source.closed


def test_good_chunks_come_before_the_error_and_never_the_bad_one(seal: Seal) -> None:
    key = generate_identity("x25519")
    sealed = bytearray(seal(patterned(3 * BATCH), key))
    sealed[-BATCH // 2] ^= 1
    released = b""

    def read() -> None:
        nonlocal released
        for piece in open_pieces(io.BytesIO(sealed), [key]):
            released += piece

    with pytest.raises(PayloadInvalid):
        read()
    assert 2 * BATCH <= len(released) < 3 * BATCH
    assert patterned(3 * BATCH).startswith(released)


def test_swapped_chunks_are_refused(seal: Seal, unseal: Seal) -> None:
    key = generate_identity("x25519")
    sealed = seal(patterned(3 * CHUNK), key)
    start = len(sealed) - 3 * (CHUNK + 16)
    chunks = [sealed[start + i * (CHUNK + 16) : start + (i + 1) * (CHUNK + 16)] for i in range(3)]
    for order in ((1, 0, 2), (0, 2, 1), (0, 0, 2), (0, 2), (1, 2), (0, 1), (0, 1, 2, 2)):
        with pytest.raises(PayloadInvalid):
            unseal(sealed[:start] + b"".join(chunks[i] for i in order), key)


def test_a_failure_leaves_no_output_file_and_keeps_the_one_that_was_there(seal: Seal, tmp_path: Path) -> None:
    key = generate_identity("x25519")
    (tmp_path / "in").write_bytes(seal(b"content", key)[:-1])
    with pytest.raises(EnvelopeError):
        decrypt_file(tmp_path / "in", tmp_path / "out", [key])
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    (tmp_path / "out").write_bytes(b"earlier")
    with pytest.raises(EnvelopeError):
        decrypt_file(tmp_path / "in", tmp_path / "out", [key])
    assert (tmp_path / "out").read_bytes() == b"earlier"


def test_an_opened_file_is_for_its_owner_only(seal: Seal, tmp_path: Path) -> None:
    key = generate_identity("hybrid")
    (tmp_path / "in").write_bytes(seal(b"content", key))
    decrypt_file(tmp_path / "in", tmp_path / "out", [key])
    assert (tmp_path / "out").read_bytes() == b"content"
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600


def test_it_says_what_kind_of_file_it_is() -> None:
    with Sealer(io.BytesIO(), [generate_identity("x25519").recipient]) as sealer:
        assert (sealer.writable(), sealer.readable(), sealer.seekable(), sealer.closed) == (True, False, False, False)


def test_without_a_block_closing_completes_the_file(unseal: Seal) -> None:
    key, target = generate_identity("x25519"), io.BytesIO()
    sealer = Sealer(target, [key.recipient])
    sealer.write(b"content")
    sealer.close()
    assert unseal(target.getvalue(), key) == b"content"


def test_after_its_block_it_is_closed() -> None:
    target = io.BytesIO()
    with Sealer(target, [generate_identity("x25519").recipient]) as sealer:
        sealer.write(b"content")
    assert sealer.closed
    with pytest.raises(ValueError, match=r"^write to a closed envelope$"):
        sealer.write(b"more")


def test_memory_is_used_again_for_a_long_content(unseal: Seal) -> None:
    key, target = generate_identity("x25519"), io.BytesIO()
    content = patterned(12 * BATCH)
    with Sealer(target, [key.recipient]) as sealer:
        sealer.write(content)
    assert len(sealer._spare) <= 7  # those under way, the one being filled and the one that waits
    assert unseal(target.getvalue(), key) == content
