"""How one layer of an envelope is read through another: byte strings as a file, and a file with its start put back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast

from cryptography.utils import Buffer

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 128 * 1024  # bytes


class BinaryReader(Protocol):
    """A file, or what behaves like one."""

    def read(self, size: int, /) -> bytes: ...

    def readinto(self, buffer: memoryview, /) -> int | None: ...


def as_file(pieces: Iterator[Buffer]) -> io.BufferedReader:
    """Reads `pieces` as they are asked for; what the iterator raises comes from the read that reaches it."""
    return io.BufferedReader(_Pieces(pieces), _BUFFER)


def replayed(start: bytes, source: BinaryReader) -> io.BufferedReader:
    """`source` with the bytes that were already taken from it put in front. `source` is never closed by it."""
    return io.BufferedReader(_Replayed(start, source), _BUFFER)


def unbuffered(source: io.BufferedReader) -> BinaryReader:
    """What `source` has left, read into the caller's memory without a copy in between; `source` is used up by it."""
    return _Replayed(source.peek(), cast("BinaryReader", source.raw))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[Buffer]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)


class _Replayed(io.RawIOBase):
    def __init__(self, start: bytes, source: BinaryReader) -> None:
        super().__init__()
        self._start = start
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        view = memoryview(buffer).cast("B")
        if not self._start:
            return self._source.readinto(view)
        part, self._start = self._start[: len(view)], self._start[len(view) :]
        view[: len(part)] = part
        return len(part)
