"""The payload of an age v1 file: chunks of 64 KiB, each with its own tag (C2SP age.md, "Payload").

A chunk's nonce holds its number and whether it is the last, so that chunks cannot be reordered, cut off or added.
Only bytes in, bytes out: no files, no header. Work goes in batches of chunks with buffers that are used again, since
fresh memory for each megabyte costs more than its encryption.
"""

from __future__ import annotations

import mmap

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.utils import Buffer

from keys.envelope.format import derive
from keys.envelope.wiping import wiped

CHUNK = 64 * 1024  # bytes of plaintext
TAG = 16  # bytes of Poly1305
SEALED_CHUNK = CHUNK + TAG
BATCH_CHUNKS = 16
BATCH = BATCH_CHUNKS * CHUNK  # bytes; large enough to hide the cost of a call, small enough for the cache
PAYLOAD_NONCE_LENGTH = 16


class Batch:
    """Room for some chunks in both forms. `first` is the number of its first chunk.

    The two `room`s have one byte more, for a reader that looks ahead.
    """

    def __init__(self, chunks: int = BATCH_CHUNKS) -> None:
        self.first = 0
        self.plain_room = _pages(chunks * CHUNK + 1)
        self.plain = self.plain_room[:-1]
        self.plain_length = 0
        self.sealed_room = _pages(chunks * SEALED_CHUNK + 1)
        self.sealed = self.sealed_room[:-1]
        self.sealed_length = 0
        self.defect: str | None = None


def _pages(length: int) -> memoryview:
    """Memory that starts on a page, as the pages of a file do.

    A `bytearray` starts 16 bytes after one; copying a page of a file into it took the kernel three times as long (a
    processor that takes the store at one address for a load at another with the same last 12 bits).
    """
    return memoryview(mmap.mmap(-1, length))


def payload_cipher(file_key: Buffer, nonce: bytes) -> ChaCha20Poly1305:
    """The cipher of one file's payload."""
    with wiped(derive(file_key, nonce, b"payload")) as key:
        return ChaCha20Poly1305(key)


def _nonce(number: int, *, final: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if final else b"\x00")


def seal_batch(cipher: ChaCha20Poly1305, batch: Batch, *, final: bool) -> Batch:
    """Fill `sealed` from `plain`. Only a final batch may be empty or end in a short chunk."""
    chunks = max(1, -(-batch.plain_length // CHUNK))
    for index in range(chunks):
        plain = batch.plain[index * CHUNK : min((index + 1) * CHUNK, batch.plain_length)]
        sealed = batch.sealed[index * SEALED_CHUNK :][: len(plain) + TAG]
        cipher.encrypt_into(_nonce(batch.first + index, final=final and index == chunks - 1), plain, None, sealed)
    batch.sealed_length = batch.plain_length + chunks * TAG
    return batch


def open_batch(cipher: ChaCha20Poly1305, batch: Batch, *, final: bool) -> Batch:
    """Fill `plain` with the chunks that are genuine, up to the first that is not; `defect` says what is wrong there."""
    batch.plain_length = 0
    batch.defect = None
    chunks = max(1, -(-batch.sealed_length // SEALED_CHUNK))
    for index in range(chunks):
        is_last = final and index == chunks - 1
        length = _open_chunk(cipher, batch, index, final=is_last)
        if length is None:
            batch.defect = _diagnosis(cipher, batch, index, wanted_final=is_last)
            break
        if is_last and length == 0 and batch.first + index > 0:
            batch.defect = "the encrypted content ends in an empty chunk"
        batch.plain_length += length
    return batch


def _open_chunk(cipher: ChaCha20Poly1305, batch: Batch, index: int, *, final: bool) -> int | None:
    """The number of bytes of one genuine chunk, or None."""
    sealed = batch.sealed[index * SEALED_CHUNK : min((index + 1) * SEALED_CHUNK, batch.sealed_length)]
    if len(sealed) < TAG:
        return None
    plain = batch.plain[index * CHUNK :][: len(sealed) - TAG]
    try:
        return cipher.decrypt_into(_nonce(batch.first + index, final=final), sealed, None, plain)
    except InvalidTag:
        return None


def _diagnosis(cipher: ChaCha20Poly1305, batch: Batch, index: int, *, wanted_final: bool) -> str:
    """Tell a genuine chunk at which the file wrongly stops, or goes on, from one that was altered; it is kept then."""
    is_full = batch.sealed_length >= (index + 1) * SEALED_CHUNK  # a short chunk is genuine only as the final one
    length = _open_chunk(cipher, batch, index, final=not wanted_final) if is_full else None
    if length is None:
        return "the encrypted content is cut off, extended or altered"
    batch.plain_length += length
    return "the encrypted content is cut off" if wanted_final else "there is something after the encrypted content"
