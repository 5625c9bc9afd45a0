"""Sealed bytes on our disk until they are published and for as long as they may be redelivered.

One folder per delivery. Files are written in ``.open-TOKEN`` and the folder gets its name ``sealed-TOKEN`` in one
rename when all is in it, so what has that name is complete. A worker that lost its lease has another, lower token; when
the delivery is sealed again, the complete parts that it left behind are taken over and the rest is removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from core.errors import GlaError, StorageFull, Unexpected
from schemas.envelopes import EnvelopeForm
from schemas.manifest import CHUNK_BYTES, ManifestFile

NOTES_NAME = "parts.json"  # in the open folder of an attempt: the parts that are complete


@dataclass
class Digests:
    """Running size, SHA-256 and, where asked, SHA-256 per chunk of what goes by."""

    chunk_size: int | None = None
    size: int = 0
    chunks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._whole = hashlib.sha256()
        self._chunk = hashlib.sha256()

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data).cast("B")
        self._whole.update(view)
        while self.chunk_size and len(view):
            part = view[: self.chunk_size - self.size % self.chunk_size]
            self._chunk.update(part)
            self.size += len(part)
            view = view[len(part) :]
            if self.size % self.chunk_size == 0:
                self.chunks.append(self._chunk.hexdigest())
                self._chunk = hashlib.sha256()
        self.size += len(view)

    def checksum(self) -> str:
        return self._whole.hexdigest()

    def all_chunks(self) -> tuple[str, ...]:
        """Digests of all chunks; the last one may be short."""
        open_chunk = self.chunk_size and self.size % self.chunk_size
        return (*self.chunks, self._chunk.hexdigest()) if open_chunk else tuple(self.chunks)


class DigestingWriter:
    """A file-like target that digests what passes through it; enough of a file for pyarrow and zstandard."""

    closed = False

    def __init__(self, target: Any, chunk_size: int | None = None) -> None:
        self._target = target
        self.digests = Digests(chunk_size)
        self._abandoned = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._abandoned:
            return len(view)
        self.digests.update(view)
        self._target.write(view)
        return len(view)

    def abandon(self) -> None:
        """Let nothing more through: pyarrow writes a footer even when it is closed after a failure."""
        self._abandoned = True

    def tell(self) -> int:
        return self.digests.size

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """Whoever opened the target closes it."""


class Nowhere:
    """A target that keeps nothing."""

    def write(self, data: memoryview) -> int:
        return len(data)


@contextmanager
def staged_file(directory: Path, name: str) -> Iterator[DigestingWriter]:
    """A new file in `directory`, on disk when the block ends normally. The writer digests the bytes that land."""
    with disk_errors(), (directory / name).open("xb") as file:
        yield DigestingWriter(file, CHUNK_BYTES)
        file.flush()
        os.fsync(file.fileno())


def manifest_file(form: EnvelopeForm, name: str, staged: DigestingWriter, content_type: str) -> ManifestFile:
    """What the manifest tells of a staged file: `name` and `content_type` are those of what is sealed in it."""
    digests = staged.digests
    return ManifestFile(
        filename=f"{name}{form.suffix}",
        size=digests.size,
        checksum=digests.checksum(),
        content_type=f"{form.content_type}; inner={content_type}",
        chunks=digests.all_chunks(),
    )


@contextmanager
def disk_errors() -> Iterator[None]:
    """Translate a full or failing disk; the message of the operating system holds a path of ours, so it is dropped."""
    problem = None
    try:
        yield
    except OSError as error:
        problem = errno.errorcode.get(error.errno or 0, "no reason given")
    if problem in ("ENOSPC", "EDQUOT"):
        raise StorageFull("the staging disk is full: free space below GLA_HOME/staging and resume")
    if problem is not None:
        raise Unexpected(f"the staging disk failed ({problem}): check the disk and resume")


@contextmanager
def new_folder(root: Path, delivery_id: str, token: int, take_over: Callable[[Path, Path], None]) -> Iterator[Path]:
    """The open folder of one attempt; complete under its final name afterwards.

    `take_over(earlier, folder)` may move files from earlier attempts, newest first; what it leaves is removed. An
    attempt that broke off is kept for the next one, unless it can never go well.
    """
    open_folder = root / delivery_id / f".open-{token}"
    with disk_errors():
        shutil.rmtree(open_folder, ignore_errors=True)
        open_folder.mkdir(parents=True, mode=0o700)
        for earlier in _attempts_before(root / delivery_id, token):
            take_over(earlier, open_folder)
            shutil.rmtree(earlier, ignore_errors=True)
    try:
        yield open_folder
    except BaseException as error:
        may_go_on = not isinstance(error, Exception) or (isinstance(error, GlaError) and error.transient)
        if not (may_go_on and (open_folder / NOTES_NAME).exists()):
            shutil.rmtree(open_folder, ignore_errors=True)
        raise
    with disk_errors():
        (open_folder / NOTES_NAME).unlink(missing_ok=True)
        final = sealed_folder(root, delivery_id, token)
        sync_folder(open_folder)
        open_folder.rename(final)
        sync_folder(final.parent)


def _attempts_before(folder: Path, token: int) -> list[Path]:
    numbered = {int(number): path for path in folder.iterdir() if (number := path.name.rpartition("-")[2]).isdecimal()}
    return [numbered[number] for number in sorted(numbered, reverse=True) if number < token]


def sealed_folder(root: Path, delivery_id: str, token: int) -> Path:
    return root / delivery_id / f"sealed-{token}"


def sync_folder(folder: Path) -> None:
    """Make names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_file(writer: DigestingWriter) -> IO[bytes]:
    """For libraries that are typed to take a file and only write."""
    return cast("IO[bytes]", writer)
