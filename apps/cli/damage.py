"""Which parts of a fetched delivery are not as the signed manifest says. Reads files; changes and opens none.

A part is a chunk of the manifest: 4 MiB with a SHA-256 of its own. Parts are looked at only where the whole is wrong.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core.errors import ManifestInvalid
from schemas.manifest import ManifestFile

_BLOCK_BYTES = 1024 * 1024

Progress = Callable[[str, int], None]  # file name, bytes done since the last call


@dataclass
class Damage:
    """A file that is missing or not as it was sent. A repair takes the parts that it put right out of `bad`."""

    file: ManifestFile
    bad: set[int]  # numbers of the parts that are wrong or missing
    missing: bool = False
    beyond: int = 0  # bytes after the end of what was sent

    @property
    def bad_bytes(self) -> int:
        return sum(self.length(number) for number in self.bad)

    def length(self, number: int) -> int:
        """Bytes of a part; the last one may be shorter than the others."""
        return min(self.file.chunk_size, self.file.size - number * self.file.chunk_size)

    def __str__(self) -> str:
        name, parts = self.file.filename, len(self.file.chunks)
        if self.missing:
            return f"{name} is missing"
        if self.bad:
            return f"{name} is damaged: {len(self.bad)} of {parts} parts, {self.bad_bytes:,} bytes"
        return f"{name} is damaged: it goes on for {self.beyond:,} bytes after its end"


def find_damage(delivery: Path, files: tuple[ManifestFile, ...], progress: Progress) -> list[Damage]:
    """Of every file that is not as the manifest says, what is wrong with it."""
    found = (_damage(delivery / file.filename, file, progress) for file in files)
    return [damage for damage in found if damage is not None]


def _damage(path: Path, file: ManifestFile, progress: Progress) -> Damage | None:
    if not path.is_file():  # also a folder, or a pipe that nobody writes to
        return Damage(file, set(range(len(file.chunks))), missing=True)
    size = path.stat().st_size
    if size == file.size and _digest(path, 0, size, file.filename, progress) == file.checksum:
        return None
    damage = Damage(file, set(), beyond=max(0, size - file.size))
    damage.bad = {
        number
        for number, digest in enumerate(file.chunks)
        if _digest(path, number * file.chunk_size, damage.length(number), file.filename, progress) != digest
    }
    if not damage.bad and not damage.beyond:
        raise ManifestInvalid(f"{file.filename}: the manifest contradicts itself: ask the sender for a new delivery")
    return damage


def _digest(path: Path, offset: int, size: int, name: str, progress: Progress) -> str | None:
    """SHA-256 of `size` bytes from `offset`; of fewer if the file is shorter; None where the disk cannot read them."""
    digest = hashlib.sha256()
    try:
        for block in _blocks(path, offset, size):
            digest.update(block)
            progress(name, len(block))
    except OSError:
        return None
    return digest.hexdigest()


def _blocks(path: Path, offset: int, size: int) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while block := file.read(min(_BLOCK_BYTES, size)):
            yield block
            size -= len(block)
