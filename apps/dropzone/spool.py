"""The spool: one file for each session, a JSON line (`schemas.accounts.Pickup`) for each file that was fetched.

A session's file is hidden until the session is over; then one rename to `*.jsonl` hands it to the flows, which record
and remove it. Each line is on disk before the client hears that its file is closed. A session that cannot write its
spool gets no file at all: what cannot be recorded is not delivered.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from schemas.accounts import Pickup

_DRAFT = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
_MODE = 0o640
_MOST_BYTES = 16 * 1024 * 1024  # of one session, some 30,000 files; who opens files for ever does not fill the disk


class SessionSpool:
    """What one session fetched. Nothing is made on disk before `ensure`."""

    def __init__(self, directory: Path, session: str) -> None:
        self._draft = directory / f".{session}.partial"
        self._final = directory / f"{session}.jsonl"
        self._descriptor: int | None = None
        self._broken = False
        self._size = 0

    def ensure(self) -> None:
        """Make sure that what follows can be recorded; raises OSError if not."""
        if self._broken:
            raise OSError("the spool of this session is broken")
        if self._size > _MOST_BYTES:
            raise OSError("the spool of this session is full")
        while self._descriptor is None:
            descriptor = os.open(self._draft, _DRAFT, _MODE)
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # tells `recover` that it is in use
            if os.fstat(descriptor).st_nlink:
                self._descriptor = descriptor
            else:  # `recover` was there between the two
                os.close(descriptor)

    def append(self, pickup: Pickup) -> None:
        """Write one line and wait until it is on disk."""
        if self._descriptor is None or self._broken:
            self.ensure()
        assert self._descriptor is not None
        line = pickup.to_bytes() + b"\n"
        self._broken = True
        if os.write(self._descriptor, line) != len(line):
            raise OSError("the spool is full")
        os.fsync(self._descriptor)
        self._size += len(line)
        self._broken = False

    def finish(self) -> None:
        """Hand over what was written; a session that fetched nothing leaves nothing."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            _hand_over(descriptor, self._draft, self._final)
        finally:
            os.close(descriptor)


def recover(directory: Path) -> None:
    """Hand over what sessions left behind that were killed; those that run, also of another server, are left alone."""
    for draft in directory.glob(".*.partial"):
        try:
            descriptor = os.open(draft, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # its session ended just now
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _hand_over(descriptor, draft, directory / f"{draft.name[1:].removesuffix('.partial')}.jsonl")
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)


def _hand_over(descriptor: int, draft: Path, final: Path) -> None:
    written = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    whole = written.rfind(b"\n") + 1  # a line that was cut short was never acknowledged
    if whole == 0:
        draft.unlink(missing_ok=True)
        return
    os.ftruncate(descriptor, whole)
    os.fsync(descriptor)
    draft.rename(final)
