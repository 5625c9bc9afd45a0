"""Step 4, the rows: each part is written in the agreed format, encrypted as it is written, and staged."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

import polars as pl

from core.errors import UnusableInput
from flows.steps.formats import CONTENT_TYPES, Encoded, RowFormat
from flows.steps.kept_parts import KeptParts
from flows.steps.parts import Part, staged_parts
from flows.steps.staging import DigestingWriter, Digests, Nowhere, as_file, manifest_file, staged_file
from keys.envelope.seal import BinaryWriter, Sealer
from keys.whole import WholeOrNothing
from schemas.agreement import Agreement
from schemas.envelopes import EnvelopeForm
from schemas.manifest import PakbonFile

Progress = Callable[[int, int], None]  # rows and ciphertext bytes so far
OpenEnvelope = Callable[[BinaryWriter], Sealer | WholeOrNothing]
RowsFor = Callable[[Digests], Iterable[Encoded]]  # the rows of a file, of which so much is written

_PIECE_ROWS = 50_000  # of a part that is limited in bytes: its size is looked at after each piece
_HELD_BACK = 1024 * 1024  # bytes that a writer and a compressor may not have written yet, and an envelope's header


@dataclass(frozen=True)
class RowSealer:
    """Stages the rows of one delivery in `folder`, as one file or in parts of the agreed size."""

    agreement: Agreement
    form: EnvelopeForm
    folder: Path
    open_envelope: OpenEnvelope
    row_format: RowFormat
    kept: KeptParts
    _staged: list[DigestingWriter] = field(default_factory=list)

    def seal(self, frames: Iterable[pl.DataFrame], progress: Progress) -> list[Part]:
        """Consume `frames`; the parts, in order. There is at least one, which has no rows if there are none."""

        def tell(rows: int) -> None:
            progress(rows, sum(each.digests.size for each in self._staged))

        size = self.agreement.part_size
        if size is not None and size.bytes is not None:
            most = size.bytes
            return staged_parts(frames, None, _as_it_is, lambda _, some: self._stage_by_bytes(some, most), tell)
        rows, encode = None if size is None else size.rows, self.row_format.encode
        return staged_parts(frames, rows, encode, lambda number, some: [self._stage(number, lambda _: some)], tell)

    def _stage_by_bytes(self, frames: Iterator[pl.DataFrame], most: int) -> list[Part]:
        """Parts of at most `most` bytes, one after another."""
        pieces = _Pieces(frames, self.row_format.encode)
        parts: list[Part] = []
        while not parts or not pieces.at_end:
            parts.append(self._stage(len(parts) + 1, partial(pieces.until_full, most)))
            if parts[-1].sealed.size > most:
                raise UnusableInput(
                    f"agreement {self.agreement.id}: {parts[-1].plain.rows:,} rows do not fit in a part of {most:,} "
                    "bytes: agree larger parts (gla.parts)"
                )
        return parts

    def _stage(self, number: int, rows_for: RowsFor) -> Part:
        name = self._name(number)
        sealed_name = f"{name}{self.form.suffix}"
        if sealed_name in self.kept:
            plain = self._written(name, DigestingWriter(Nowhere()), rows_for)
            return Part(plain, self.kept.sealed(self.folder, sealed_name, plain))
        with staged_file(self.folder, sealed_name) as target:
            self._staged.append(target)
            with self.open_envelope(as_file(target)) as sealer:
                plain = self._written(name, DigestingWriter(sealer), rows_for)
        part = Part(plain, manifest_file(self.form, name, target, CONTENT_TYPES[self.agreement.file_format]))
        self.kept.add(self.folder, part)
        return part

    def _written(self, name: str, target: DigestingWriter, rows_for: RowsFor) -> PakbonFile:
        rows = 0
        with self.row_format.open(target) as writer:
            for encoded in rows_for(target.digests):
                writer.write(encoded)
                rows += encoded.rows
        return PakbonFile(filename=name, size=target.digests.size, checksum=target.digests.checksum(), rows=rows)

    def _name(self, number: int) -> str:
        part = "" if self.agreement.part_size is None else f".part-{number:04d}"
        return f"{self.agreement.contract.table.name}{part}.{self.agreement.file_format}"


def _as_it_is(frame: pl.DataFrame) -> pl.DataFrame:
    return frame


class _Pieces:
    """Rows in small pieces, of which one that does not fit waits for the next part."""

    def __init__(self, frames: Iterable[pl.DataFrame], encode: Callable[[pl.DataFrame], Encoded]) -> None:
        self._pieces = map(encode, chain.from_iterable(frame.iter_slices(_PIECE_ROWS) for frame in frames))
        self._next = next(self._pieces, None)

    @property
    def at_end(self) -> bool:
        return self._next is None

    def until_full(self, most: int, written: Digests) -> Iterator[Encoded]:
        """Pieces until the next one, half larger than any before, might make the file larger than `most` bytes."""
        room, largest = most - most // 1000 - _HELD_BACK, 0
        while self._next is not None:
            before = written.size
            if before + largest * 3 // 2 > room and before:
                return
            piece, self._next = self._next, next(self._pieces, None)
            yield piece
            largest = max(largest, written.size - before)
