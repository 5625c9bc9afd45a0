"""Put right what is damaged or missing in a fetched delivery: only the bad parts are fetched, from other copies of it.

A part is fetched into memory, compared with the digest in the signed manifest, and only then written in its place. So
a repair can only make a file better: a copy cannot smuggle anything in, and whoever is stopped at any moment, also in
the middle of a first download, goes on from there the next time.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from apps.cli.copies import Copy
from apps.cli.damage import Damage, Progress
from core.errors import (
    DestinationError,
    DestinationUnreachable,
    GlaError,
    ManifestInvalid,
    SignerUnknown,
    UnusableInput,
)
from schemas.manifest import BESIDE, PQ_SIGNATURE_NAME, SENDER_KEYS_NAME, Manifest
from transports.base import Transport

_LARGEST_PART = 64 * 1024 * 1024  # bytes; one part is held in memory, and the sender's have 4 MiB
_OPTIONAL = (PQ_SIGNATURE_NAME, SENDER_KEYS_NAME)
_LARGEST_MANIFEST = 64 * 1024 * 1024  # bytes, as in `receiving`
_FILE_MODE = 0o666  # less the umask, as any fetched file

_Trust = TypeVar("_Trust")


def repair(
    delivery: Path, damaged: Sequence[Damage], copies: Sequence[Copy], manifest: Manifest, progress: Progress
) -> None:
    """Ask the copies in turn. What they do not have stays in `bad`; raises only what made a copy unusable then.

    The error is that of the last copy; nothing that was put right is undone by it.
    """
    failure: DestinationError | None = None
    for copy in copies:
        left = [damage for damage in damaged if _wrong(delivery, damage)]
        if left:
            failure = _from_copy(delivery, left, copy, manifest, progress)
    if failure is not None and any(damage.bad for damage in damaged):
        raise failure


def _wrong(delivery: Path, damage: Damage) -> bool:
    return bool(damage.bad or damage.beyond) or (damage.missing and not (delivery / damage.file.filename).exists())


def _from_copy(
    delivery: Path, damaged: Sequence[Damage], copy: Copy, manifest: Manifest, progress: Progress
) -> DestinationError | None:
    """Connects again after a lost connection for as long as each one brings something."""
    while True:
        before = sum(len(damage.bad) for damage in damaged)
        try:
            with copy.open(manifest) as transport:
                return _mend_all(delivery, damaged, transport, progress)
        except DestinationError as error:
            lost = error
        if not isinstance(lost, DestinationUnreachable) or sum(len(damage.bad) for damage in damaged) == before:
            return lost


def _mend_all(
    delivery: Path, damaged: Sequence[Damage], transport: Transport, progress: Progress
) -> DestinationError | None:
    refusal = None
    for damage in damaged:
        try:
            _mend(delivery / damage.file.filename, damage, transport, progress)
        except DestinationUnreachable:
            raise
        except DestinationError as error:  # this copy does not have the file; it may have the others
            refusal = error
    return refusal


def _mend(path: Path, damage: Damage, transport: Transport, progress: Progress) -> None:
    file = damage.file
    if file.chunk_size > _LARGEST_PART:
        raise UnusableInput(f"{file.filename} has parts that are too large to repair: fetch the file again")
    with _writable(path) as descriptor:
        if os.fstat(descriptor).st_size > file.size:
            os.ftruncate(descriptor, file.size)
        damage.beyond = 0
        for first, last in _runs(sorted(damage.bad)):
            offset, size = first * file.chunk_size, sum(map(damage.length, range(first, last + 1)))
            blocks = transport.read(file.filename, offset, size)
            for number, part in enumerate(_parts(blocks, file.chunk_size, file.filename, progress), first):
                if number <= last and hashlib.sha256(part).hexdigest() == file.chunks[number]:
                    _write(descriptor, part, number * file.chunk_size)
                    damage.bad.remove(number)
        os.fsync(descriptor)


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each row of parts that follow each other: one request for each."""
    start = 0
    for end in range(1, len(numbers) + 1):
        if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
            yield numbers[start], numbers[end - 1]
            start = end


def _parts(blocks: Iterator[bytes], size: int, name: str, progress: Progress) -> Iterator[bytearray]:
    """The blocks in pieces of `size` bytes, the last one what is left."""
    part = bytearray()
    for block in blocks:
        progress(name, len(block))
        view = memoryview(block)
        while view:
            room = size - len(part)
            part += view[:room]
            view = view[room:]
            if len(part) == size:
                yield part
                part = bytearray()
    if part:
        yield part


@contextmanager
def _writable(path: Path) -> Iterator[int]:
    """A file of this folder itself: what a link, a pipe or a folder stands for is never written to."""
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise UnusableInput(f"{path.name} is not a file but a link, a folder or a device: move it away, then run again")
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(path, flags, _FILE_MODE)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnusableInput(f"{path.name} was replaced while it was repaired: run again")
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, part: bytearray, offset: int) -> None:
    left = memoryview(part)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def fetched_manifest(
    delivery: Path, copies: Sequence[Copy], check: Callable[[Path], tuple[_Trust, Manifest]], claimed: Manifest | None
) -> tuple[_Trust, Manifest]:
    """The manifest of the first copy that has one which `check` accepts, put into the delivery; else the last error.

    `check` gets a folder that holds the manifest and its signature, and raises what is wrong with them. Where a
    manifest is here that says what it is for (`claimed`), only one for the same edition takes its place.
    """
    failure: GlaError | None = None
    for copy in copies:
        with tempfile.TemporaryDirectory(prefix=".manifest-", dir=delivery) as name:
            try:
                with copy.open(None) as transport:
                    _fetch_small(transport, Path(name))
                trust, manifest = check(Path(name))
                _check_same(manifest, claimed)
            except (DestinationError, ManifestInvalid, SignerUnknown, UnusableInput) as error:
                failure = error
                continue
            for path in sorted(Path(name).iterdir(), reverse=True):  # the signature, then what it signs
                path.replace(delivery / path.name)
            return trust, manifest
    raise failure or UnusableInput("name another copy of the delivery with --from")


def _check_same(manifest: Manifest, claimed: Manifest | None) -> None:
    names = [(each.agreement, each.period, each.edition) for each in (manifest, claimed or manifest)]
    if names[0] != names[1]:
        raise UnusableInput("the copy is of another delivery than the folder: name a copy of the same edition")


def _fetch_small(transport: Transport, folder: Path) -> None:
    for name in BESIDE:
        if name in _OPTIONAL and transport.stat(name) is None:
            continue
        with (folder / name).open("xb") as file:
            for block in transport.read(name, 0, _LARGEST_MANIFEST):
                file.write(block)
