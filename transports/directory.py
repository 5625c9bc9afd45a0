"""A destination that is a folder on this machine, such as our own drop zone.

What is written is on disk (fsync) before it is reported. Folders get at most mode 0750 and files 0640. The umask of the
program takes from that: 0077, as `flows.wiring` sets it, leaves them to our own account alone.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from core.errors import DestinationRefused, DestinationUnreachable, GlaError, StorageFull
from transports.base import Closing, Receipt, Stat, checked_segments, kept_bytes
from transports.outgoing import BLOCK_BYTES, Outgoing

_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _border(
    method: Callable[Concatenate[DirectoryTransport, _P], _R],
) -> Callable[Concatenate[DirectoryTransport, _P], _R]:
    """Let no OSError leave; ours is raised after the handler, so that it carries no foreign context."""

    @functools.wraps(method)
    def guarded(self: DirectoryTransport, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except OSError as error:
            failure = _translated(error)
        raise failure

    return guarded


def _translated(error: OSError) -> GlaError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull(f"the destination folder is full ({reason}): make room, then run again")
    if error.errno in {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN}:
        return DestinationUnreachable(f"the destination folder does not answer ({reason}): run again")
    return DestinationRefused(f"the destination folder refused ({reason}): check its path and permissions")


class DirectoryTransport(Closing):
    """Writes below `root`, which must exist."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DestinationRefused("the destination folder does not exist: create it or correct its path")
        self._root = root

    def put(self, source: Path, name: str) -> Receipt:
        return self._write(source, name, _created)

    def resume(self, source: Path, name: str) -> Receipt:
        kept = kept_bytes(self, source, name)
        return self._write(source, name, _opened_again, kept) if kept else self.put(source, name)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        descriptor = self._open(name)
        end = None if size is None else offset + size
        try:
            while block := self._read_at(descriptor, offset, end):
                yield block
                offset += len(block)
        finally:
            os.close(descriptor)

    @_border
    def rename(self, old: str, new: str) -> None:
        source, target = self._path(old), self._path(new)
        if os.path.lexists(target):  # rename(2) would replace a file, or a folder that is empty
            raise DestinationRefused("the new name already exists at the destination folder")
        os.rename(source, target)  # noqa: PTH104 pathlib hides which call it makes
        for folder in {source.parent, target.parent}:
            _sync_directory(folder)

    @_border
    def stat(self, name: str) -> Stat | None:
        path = self._path(name)
        if not os.path.lexists(path):
            return None
        directory = path.is_dir()
        return Stat(0 if directory else path.lstat().st_size, directory)

    @_border
    def list(self, name: str) -> list[str]:
        return sorted(os.listdir(self._path(name)))  # noqa: PTH208

    @_border
    def delete(self, name: str) -> None:
        path = self._path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @_border
    def make_directory(self, name: str) -> None:
        path = self._root
        for segment in checked_segments(name):
            parent, path = path, path / segment
            if not path.is_dir():
                path.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
                _sync_directory(parent)

    @_border
    def _write(self, source: Path, name: str, opening: Callable[[Path], int], kept: int = 0) -> Receipt:
        target = self._path(name)
        with Outgoing(source, name) as outgoing, FileIO(opening(target), "wb") as writer:
            position = 0
            for block in outgoing.blocks():
                _write_all(writer.fileno(), block[max(kept - position, 0) :], max(position, kept))
                position += len(block)
            os.fsync(writer.fileno())
        return Receipt(name, outgoing.size, outgoing.sha256)

    def _path(self, name: str) -> Path:
        return self._root.joinpath(*checked_segments(name))

    @_border
    def _open(self, name: str) -> int:
        return os.open(self._path(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    @_border
    def _read_at(self, descriptor: int, offset: int, end: int | None) -> bytes:
        length = BLOCK_BYTES if end is None else min(BLOCK_BYTES, end - offset)
        return os.pread(descriptor, length, offset)


def _created(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)


def _opened_again(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _write_all(descriptor: int, block: bytes, offset: int) -> None:
    view = memoryview(block)
    while view:  # a nearly full disk writes a part first and refuses the rest
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
