"""Opening sealed files with a private key: streaming, in bounded memory, binary or armored form told apart.

No byte comes out before its chunk's tag is verified, and the end is reported only if the file is whole: a cut,
extended or altered file ends in an error. Whoever stops reading before the end has not had that check.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from core.files import new_file
from keys.envelope.armor import binary_form
from keys.envelope.errors import HeaderInvalid, NoMatchingKey, PayloadInvalid
from keys.envelope.format import Header, parse_header
from keys.envelope.pipeline import Pipeline
from keys.envelope.reading import BinaryReader, as_file, unbuffered
from keys.envelope.relay import Ahead, Relay, threads_for
from keys.envelope.seal import BinaryWriter, write_whole
from keys.envelope.stream import BATCH_CHUNKS, PAYLOAD_NONCE_LENGTH, Batch, open_batch, payload_cipher
from keys.envelope.wiping import wiped
from keys.private.identities import Identity


def open_pieces(source: BinaryReader, identities: Sequence[Identity]) -> Iterator[memoryview]:
    """The plaintext in pieces, each of them good until the next is asked for, when its memory is used again.

    Header and key are checked before this returns, the rest while iterating; raises the classes of
    `keys.envelope.errors`. `source` is read to its end and not closed.
    """
    return _payload(*_opened(source, identities))


def open_into(source: BinaryReader, identities: Sequence[Identity], target: BinaryWriter, *, threads: int) -> None:
    """Write the plaintext to `target`, faster than through `open_pieces`; errors as there.

    Each chunk is written only after all before it, and itself, were verified. `threads`: see `threads_for`.
    """
    sealed, cipher = _opened(source, identities)
    ahead = Ahead(unbuffered(sealed))

    def read(batch: Batch) -> bool:
        batch.sealed_length, final = ahead.fill(batch.sealed_room)
        return final

    def write(batch: Batch) -> None:
        write_whole(target, batch.plain[: batch.plain_length])
        _require_genuine(batch)

    Relay(read, lambda batch, final: open_batch(cipher, batch, final=final), write).run(threads)


def open_envelope(source: BinaryReader, identities: Sequence[Identity]) -> io.BufferedReader:
    """The plaintext as a readable file; errors as in `open_pieces`, so some of them come from `read`."""
    return as_file(open_pieces(source, identities))


def decrypt_file(source: Path, target: Path, identities: Sequence[Identity]) -> None:
    """Open `source` into the new file `target` (mode 0600), which appears whole or not at all."""
    with source.open("rb", buffering=0) as sealed, new_file(target, mode=0o600) as plain:
        open_into(sealed, identities, plain, threads=threads_for(sealed, plain))


def _opened(source: BinaryReader, identities: Sequence[Identity]) -> tuple[io.BufferedReader, ChaCha20Poly1305]:
    """The file at its first chunk, and the cipher of its chunks; the header is genuine then."""
    sealed = binary_form(source)[1]
    header = parse_header(sealed)
    with wiped(_file_key(header, identities)) as file_key:
        header.verify(file_key)
        nonce = sealed.read(PAYLOAD_NONCE_LENGTH)
        if len(nonce) != PAYLOAD_NONCE_LENGTH:
            raise HeaderInvalid("the encrypted file is cut off right after its header")
        return sealed, payload_cipher(file_key, nonce)


def _file_key(header: Header, identities: Sequence[Identity]) -> bytearray:
    for identity in identities:
        for stanza in header.stanzas:
            file_key = identity.unwrap(stanza)
            if file_key is not None:
                return file_key
    raise NoMatchingKey("none of the given private keys opens this file: it was sealed for another key")


def _payload(source: io.BufferedReader, cipher: ChaCha20Poly1305) -> Iterator[memoryview]:
    """Reads one batch ahead, since only the end of the file shows which chunk must be the final one."""
    pipeline: Pipeline[Batch] = Pipeline()
    spare: list[Batch] = []
    try:
        batch, chunks = _filled(spare, source), 0
        while True:
            following = _filled(spare, source)
            final = following.sealed_length == 0
            batch.first, chunks = chunks, chunks + BATCH_CHUNKS
            if pipeline.full:
                yield from _released(pipeline.take(), spare)
            pipeline.submit(partial(open_batch, cipher, batch, final=final))
            if final:
                break
            batch = following
        while not pipeline.empty:
            yield from _released(pipeline.take(), spare)
    finally:
        pipeline.stop()


def _filled(spare: list[Batch], source: io.BufferedReader) -> Batch:
    batch = spare.pop() if spare else Batch()
    batch.sealed_length = source.readinto(batch.sealed)
    return batch


def _released(batch: Batch, spare: list[Batch]) -> Iterator[memoryview]:
    if batch.plain_length:
        yield batch.plain[: batch.plain_length].toreadonly()
    _require_genuine(batch)
    spare.append(batch)


def _require_genuine(batch: Batch) -> None:
    if batch.defect is not None:
        raise PayloadInvalid(f"{batch.defect}: fetch the file again, or ask the sender")
