"""A new file that appears whole or not at all: written beside its place, synced, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path


@contextmanager
def new_file(path: Path, *, mode: int) -> Iterator[FileIO]:
    """A raw file to write; it takes the place of `path` only if the block ends without an exception.

    A `path` that exists and is no regular file (a pipe, a device) is written as it is, since it cannot be replaced.
    """
    path = path.resolve()  # a link keeps pointing where it did
    if path.exists() and not path.is_file():
        with path.open("wb", buffering=0) as file:
            yield file
        return
    draft = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with FileIO(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
