"""A new file that appears whole or not at all: written beside its place, synced, then put there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path


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
    draft = path.with_name(f".{secrets.token_hex(8)}.partial")
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


def _created(draft: Path, path: Path, mode: int) -> int:
    try:
        return os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    except OSError as error:
        error.filename = str(path)  # the name that the caller knows
        raise
