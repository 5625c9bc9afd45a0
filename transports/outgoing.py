"""Our own files on their way out: one thread reads and digests them, while another sends what was read before."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from core.errors import GlaError, UnusableInput

# Per read and digest update: about 1 MiB, and a whole number of OpenSSH's largest requests.
BLOCK_BYTES = 4 * 261_120
_AHEAD = 3  # blocks that are read before they are asked for
_LOOKING_SECONDS = 0.1  # after which the reader looks whether anybody still waits for it


class Outgoing:
    """The bytes of a local file in `blocks()`, and after the last one its `sha256` and `size`.

    What is wrong with the file is `UnusableInput`, so that it does not look like a fault of the destination.
    """

    def __init__(self, source: Path, name: str, block_bytes: int = BLOCK_BYTES) -> None:
        self.size = 0
        self._digest = hashlib.sha256()
        self._file = opened(source, name)
        self._name, self._block_bytes = name, block_bytes
        self._blocks: queue.Queue[bytes | GlaError] = queue.Queue(_AHEAD)
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._read, name="outgoing", daemon=True)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def blocks(self) -> Iterator[bytes]:
        """All of the file, once, in blocks of the agreed size; the last one may be shorter."""
        self._thread.start()
        while block := self._blocks.get():
            if isinstance(block, GlaError):
                raise block
            yield block
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._left.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._file.close()

    def _read(self) -> None:
        try:
            while block := _filled(self._file, self._block_bytes):
                self._hand_over(block)
                self._digest.update(block)
                self.size += len(block)
                if self._left.is_set():
                    return
            self._hand_over(b"")
        except OSError as error:
            self._hand_over(_unreadable(self._name, error))

    def _hand_over(self, block: bytes | GlaError) -> None:
        while not self._left.is_set():
            try:
                return self._blocks.put(block, timeout=_LOOKING_SECONDS)
            except queue.Full:
                continue
        return None


def _filled(file: BinaryIO, size: int) -> bytes:
    """`size` bytes, or what is left: a raw file may give less than it is asked for."""
    block = file.read(size)
    while block and len(block) < size and (more := file.read(size - len(block))):
        block += more
    return block


def local_blocks(source: Path, name: str, size: int | None = None) -> Iterator[bytes]:
    """The bytes of one of our own files, or the first `size` of them."""
    with opened(source, name) as file:
        while block := _block(file, name, size):
            size = None if size is None else size - len(block)
            yield block


def _block(file: BinaryIO, name: str, size: int | None) -> bytes:
    try:
        return file.read(BLOCK_BYTES if size is None else min(BLOCK_BYTES, size))
    except OSError as error:
        failure = _unreadable(name, error)
    raise failure


def local_size(source: Path, name: str) -> int:
    """In bytes, of one of our own files."""
    with opened(source, name) as file:
        return os.fstat(file.fileno()).st_size


def opened(source: Path, name: str) -> BinaryIO:
    """Open one of our own files for reading; what is wrong with it must not look like a fault of the destination."""
    try:
        return source.open("rb", buffering=0)
    except OSError as error:
        failure = _unreadable(name, error)
    raise failure


def _unreadable(name: str, error: OSError) -> UnusableInput:
    return UnusableInput(
        f"our copy of {name} cannot be read ({type(error).__name__}): run the delivery again from the start"
    )
