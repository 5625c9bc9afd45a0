"""Files that are never half: a new one is written beside its place, synced, then put there; a list grows by lines."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

_DRAFT = re.compile(r"\.[0-9a-f]{16}\.partial")


def write_file(path: Path, data: bytes, *, mode: int) -> None:
    """Put `data` at `path`, whole, in place of what was there."""
    with new_file(path, mode=mode) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]  # a raw file may take less than it is given


@contextmanager
def new_file(path: Path, *, mode: int, replace: bool = True) -> Iterator[FileIO]:
    """A raw file to write; it becomes `path` only if the block ends without an exception.

    Without `replace`, FileExistsError if there is a `path` by then. With it, a `path` that exists and is no regular
    file (a pipe, a device) is written as it is, since its place cannot be taken.
    """
    path = path.resolve()  # a link keeps pointing where it did
    if replace and path.exists() and not path.is_file():
        with path.open("wb", buffering=0) as file:
            yield file
        return
    draft = path.with_name(f".{secrets.token_hex(8)}.partial")  # as in _DRAFT
    try:
        with FileIO(_created(draft, path, mode), "wb") as file:
            yield file
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(folder: Path, before: float) -> int:
    """Remove from `folder` what a process that was killed left of a file, if nothing was written to it since `before`
    (seconds since 1970); returns how many. No folder: none.
    """
    count = 0
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it got its name just now
                if _DRAFT.fullmatch(entry.name) and entry.stat(follow_symlinks=False).st_mtime < before:
                    Path(entry).unlink()
                    count += 1
    return count


def _created(draft: Path, path: Path, mode: int) -> int:
    try:
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        error.filename = str(path)  # the name that the caller knows
        raise


@contextmanager
def append_only(path: Path, *, mode: int) -> Iterator[FileIO]:
    """A file of lines, made if it is not there, for the one process that may append to it now (`append_line`).

    What a crash left of a line that was never completed is cut: it would spoil the one that follows.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
    with FileIO(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.ftruncate(descriptor, _end_of_last_line(descriptor))
        yield file


def append_line(file: FileIO, line: bytes) -> None:
    """Put `line` and its end behind the others, on disk before it returns; OSError if it does not fit."""
    if file.write(line + b"\n") != len(line) + 1:
        raise OSError("not written whole")
    os.fsync(file.fileno())


def _end_of_last_line(descriptor: int) -> int:
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - 4096)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
