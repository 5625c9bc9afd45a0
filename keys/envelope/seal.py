"""Sealing: a file-like object that encrypts what is written to it, for one or more recipients::

    with open("delivery.age", "wb") as target, Sealer(target, [recipient]) as sealer:
        sealer.write(b"...")

A file can be opened only with its final chunk, and a `with` block writes that chunk only when it ends without an
exception, whatever a writer in between closes: half a file never passes for a whole one. Memory is bounded and
plaintext never touches a disk. It does not close, flush or sync `target`.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.utils import Buffer

from core.errors import KeyUnusable
from keys.envelope.format import FILE_KEY_LENGTH, STANZA_LIMIT, Header
from keys.envelope.pipeline import Pipeline
from keys.envelope.reading import BinaryReader
from keys.envelope.recipients import Recipient
from keys.envelope.relay import Ahead, Relay, threads_for
from keys.envelope.stream import BATCH, BATCH_CHUNKS, PAYLOAD_NONCE_LENGTH, Batch, payload_cipher, seal_batch
from keys.envelope.wiping import wiped


class BinaryWriter(Protocol):
    """A file, or what behaves like one. A raw file may take only a part of the data, and says so."""

    def write(self, data: memoryview, /) -> int | None: ...


def write_whole(target: BinaryWriter, data: Buffer) -> None:
    """Write all of `data`, also where `target` takes only a part at a time."""
    view = memoryview(data)
    while (taken := target.write(view)) is not None and taken < len(view):
        view = view[taken:]


class Sealer:
    """A write-only binary file; `KeyUnusable` for recipients that cannot share a file, errors of `target` pass."""

    def __init__(self, target: BinaryWriter, recipients: Sequence[Recipient]) -> None:
        self._cipher = _begun(target, recipients)
        self._target = target
        self._spare: list[Batch] = []
        self._filling = Batch()
        self._waiting: Batch | None = None  # full; whether it is the final one shows only when more comes, or nothing
        self._chunks = 0
        self._length = 0
        self._in_block = False
        self._abandoned = False
        self.closed = False
        self._pipeline: Pipeline[Batch] = Pipeline()

    def write(self, data: Buffer) -> int:
        """Take all of `data` and return its length in bytes. After an error the envelope is abandoned."""
        view = memoryview(data).cast("B")
        length = len(view)
        while view:
            room = self._room()
            part, view = view[: len(room)], view[len(room) :]
            room[: len(part)] = part
            self._took(len(part))
        return length

    def close(self) -> None:
        """Write the final chunk; inside a `with` block only end the writing, since the block decides."""
        if self.closed:
            return
        self.closed = True
        if not self._in_block:
            self._finish()

    def abandon(self) -> None:
        """Stop without a final chunk: what was written so far can never be opened as a whole."""
        self.closed = True
        self._abandoned = True
        self._pipeline.stop()

    def __enter__(self) -> Self:
        self._in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
        if kind is not None:
            self.abandon()
        elif self._abandoned:
            raise ValueError("the envelope was abandoned after an error")
        else:
            self._finish()

    def tell(self) -> int:
        """Bytes of plaintext taken so far."""
        return self._length

    def flush(self) -> None:
        """Nothing to do: a chunk leaves when it is full."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def _room(self) -> memoryview:
        """Where the next bytes of plaintext go; never empty."""
        if self.closed:
            raise ValueError("write to a closed envelope")
        return self._filling.plain[self._filling.plain_length :]

    def _took(self, count: int) -> None:
        if self._waiting is not None:
            full, self._waiting = self._waiting, None
            self._send(full, final=False)
        self._length += count
        self._filling.plain_length += count
        if self._filling.plain_length == BATCH:
            self._waiting, self._filling = self._filling, self._spare.pop() if self._spare else Batch()
            self._filling.plain_length = 0

    def _send(self, batch: Batch, *, final: bool) -> None:
        batch.first = self._chunks
        self._chunks += BATCH_CHUNKS
        try:
            if self._pipeline.full:
                self._put(self._pipeline.take())
            self._pipeline.submit(partial(seal_batch, self._cipher, batch, final=final))
        except BaseException:
            self.abandon()
            raise

    def _put(self, batch: Batch) -> None:
        write_whole(self._target, batch.sealed[: batch.sealed_length])
        self._spare.append(batch)

    def _finish(self) -> None:
        """Whatever happens on the way, nothing is written after this."""
        try:
            last = self._waiting if self._waiting is not None else self._filling
            self._send(last, final=True)
            while not self._pipeline.empty:
                self._put(self._pipeline.take())
        finally:
            self._pipeline.stop()


def seal_stream(source: BinaryReader, target: BinaryWriter, recipients: Sequence[Recipient]) -> None:
    """Seal all that `source` still has, faster than through a `Sealer`; after an exception `target` never opens."""
    cipher = _begun(target, recipients)
    ahead = Ahead(source)

    def read(batch: Batch) -> bool:
        batch.plain_length, final = ahead.fill(batch.plain_room)
        return final

    def write(batch: Batch) -> None:
        write_whole(target, batch.sealed[: batch.sealed_length])

    Relay(read, lambda batch, final: seal_batch(cipher, batch, final=final), write).run(threads_for(source, target))


def _begun(target: BinaryWriter, recipients: Sequence[Recipient]) -> ChaCha20Poly1305:
    """Write the header of a new file; the cipher of its payload."""
    _check_strength(recipients)
    nonce = secrets.token_bytes(PAYLOAD_NONCE_LENGTH)
    with wiped(bytearray(secrets.token_bytes(FILE_KEY_LENGTH))) as file_key:
        header = Header.sealed(tuple(recipient.wrap(file_key) for recipient in recipients), file_key)
        cipher = payload_cipher(file_key, nonce)
    write_whole(target, header.serialise() + nonce)
    return cipher


def _check_strength(recipients: Sequence[Recipient]) -> None:
    """One file has one strength: beside a classical key, a hybrid one protects nothing (C2SP age.md)."""
    if not recipients:
        raise KeyUnusable("there is no public key to seal to")
    if len(recipients) > STANZA_LIMIT:
        raise KeyUnusable(f"one file can be sealed to at most {STANZA_LIMIT} public keys")
    if len({recipient.is_hybrid for recipient in recipients}) > 1:
        raise KeyUnusable("hybrid (age1pq1...) and X25519 (age1...) keys may not share a file: use one kind")
