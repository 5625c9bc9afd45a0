"""A scratch file that says nothing to anybody else: blocks sealed with AES-256-GCM under a key of this object alone.

The file has no name (it is unlinked at once, or never had one) and the key is never written, so what a crash leaves on
the disk can be neither found nor read. A block's nonce is its number, so that no block passes for another. There is no
file before the first block: what fits in memory never touches the disk.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import StorageFull, Unexpected

_KEY_BITS = 256
_NONCE_BYTES = 12  # NIST SP 800-38D
T = TypeVar("T")


class SealedScratch:
    """A `schemas.scratch.Scratch` in `folder`, which is made when first needed. Close it to give the room back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sealer = AESGCM(AESGCM.generate_key(_KEY_BITS))
        self._blocks: list[tuple[int, int]] = []  # offset and size of each
        self._end = 0
        self._file: int | None = None

    def append(self, block: bytes) -> int:
        """Seal a block onto the end; `StorageFull` when the disk is."""
        number = len(self._blocks)
        sealed = self._sealer.encrypt(_nonce(number), block, None)
        _on_disk(lambda: _write(self._open(), sealed, self._end))
        self._blocks.append((self._end, len(sealed)))
        self._end += len(sealed)
        return number

    def read(self, ticket: int) -> bytes:
        """The block again; `Unexpected` if the file no longer holds what was written."""
        offset, size = self._blocks[ticket]
        sealed = _on_disk(lambda: _read(self._open(), size, offset))
        try:
            return self._sealer.decrypt(_nonce(ticket), sealed, None)
        except InvalidTag:
            pass
        raise Unexpected("a scratch file did not keep what was written to it: check the disk and resume")

    def close(self) -> None:
        """Give the room back; nothing can be read after it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._blocks.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> int:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self._folder, buffering=0) as file:
                self._file = os.dup(file.fileno())
        return self._file


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE_BYTES)


def _write(file: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, offset)
        left, offset = left[written:], offset + written


def _read(file: int, size: int, offset: int) -> bytes:
    """`size` bytes, or fewer if the file is shorter, which the seal finds out."""
    parts = []
    while size and (part := os.pread(file, size, offset)):
        parts.append(part)
        size, offset = size - len(part), offset + len(part)
    return b"".join(parts)


def _on_disk(work: Callable[[], T]) -> T:
    """What `work` gives; the operating system's own error names a path of ours, so it is dropped."""
    try:
        return work()
    except OSError as error:
        code = error.errno
    if code in (errno.ENOSPC, errno.EDQUOT):
        raise StorageFull("the disk for scratch files is full: free space in the staging folder and resume")
    raise Unexpected(f"the disk for scratch files failed ({errno.errorcode.get(code or 0, code)}): check it and resume")
