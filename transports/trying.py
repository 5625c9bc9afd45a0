"""Whether a destination can be used: a small file goes there and back, and its bucket is looked at."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from core.errors import GlaError, ReadBackMismatch
from core.ids import new_id
from transports.base import STAGING_PREFIX, Destination, FolderTransport, digested
from transports.s3 import S3Transport

LEFTOVER_DAYS = 7  # within which the longest transfer has ended


def checked(transport: Destination, *, set_lifecycle: bool = False) -> Sequence[str]:
    """Put a file, read it back, give it another name where that is possible, and remove it.

    Returns what an operator should know; raises the errors below `DestinationError`, and `ReadBackMismatch`.
    """
    folder = f"{STAGING_PREFIX}check-{new_id()}"
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "probe"
        source.write_bytes(os.urandom(1000))
        try:
            _there_and_back(transport, source, folder)
        except BaseException:
            with suppress(GlaError):
                transport.delete(folder)
            raise
    transport.delete(folder)
    if not isinstance(transport, S3Transport):
        return []
    if set_lifecycle:
        transport.remove_leftovers_after(LEFTOVER_DAYS)
    return transport.advice()


def _there_and_back(transport: Destination, source: Path, folder: str) -> None:
    name = f"{folder}/probe"
    if isinstance(transport, FolderTransport):
        transport.make_directory(folder)
    sent = transport.put(source, name)
    if digested(name, transport.read(name)) != sent:
        raise ReadBackMismatch("what the destination gives back is not what it got: check its disk")
    if isinstance(transport, FolderTransport):
        transport.rename(name, f"{folder}/renamed")
