"""What a recipient sent, once its program closed the file: it goes to the drop zone's own area, and from here.

It is copied, so that a handle that the recipient still has open changes nothing any more; the rules of the area (names,
sizes, how many, nothing is replaced) are those of `apps.dropzone.incoming`. What breaks them goes too: the recipient's
program was told that it was sent, and only the log and the missing report say otherwise.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from apps.dropzone.incoming import INCOMING, RECEIPTS, Area, Limits, Receiving, areas
from apps.dropzone.namespace import segments
from apps.dropzone.reading import Session
from apps.openssh.owner import Owner

logger = logging.getLogger(__name__)

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK = 1024 * 1024
_LEFT_SECONDS = 60.0  # since anything was done to a file that no session is sending
_MOST_FILES = 1000  # of one recipient on their way; more than any program sends at a time, and few enough to look at


class Landing:
    """For the recipient `name`, between its chroot and the drop zone `root`, whose files `owner` owns."""

    def __init__(self, chroot: Path, root: Path, name: str, owner: Owner, limits: Limits) -> None:
        self._chroot = chroot
        self._owner = owner
        self._limits = limits
        self._areas = areas(root / INCOMING, name, limits)

    def take(self, path: str, session: Session, *, complete: bool) -> None:
        """Take the file that was closed at `path`, as the client named it; what is not complete is removed."""
        names = segments(path)
        area = self._areas.get(names[0]) if names else None
        if area is None:
            return
        here = self._chroot.joinpath(*names)
        try:
            if complete:
                self._copy(here, area, "/".join(names), session)
                logger.info("session %s: a file came in", session.id)
        except OSError as error:
            logger.warning("session %s: a file that was sent is not taken: %s", session.id, type(error).__name__)
        with suppress(OSError):
            here.unlink()

    def overflows(self, opened: Iterable[os.stat_result]) -> bool:
        """Whether what is on its way, with the files that are `opened` and have no name any more, is more than one
        recipient may have, or is there while the disk has too little room for others.
        """
        files = {(status.st_dev, status.st_ino): status.st_size for status in (*self._lying().values(), *opened)}
        total = sum(files.values())
        disk = os.statvfs(self._chroot)
        scarce = disk.f_bavail * disk.f_frsize < self._limits.reserve
        return total > self._limits.waiting or len(files) > _MOST_FILES or (scarce and total > 0)

    def sweep(self, sending: Iterable[str]) -> None:
        """Remove what is left and is none of the files that sessions are `sending`: those whose names the log could not
        tell, for instance. It goes by the time that no client can set.
        """
        before = time.time() - _LEFT_SECONDS
        kept = {self._chroot.joinpath(*segments(path)) for path in sending}
        self._remove(path for path, status in self._lying().items() if path not in kept and status.st_ctime < before)

    def clear(self) -> None:
        """Remove all that is on its way."""
        self._remove(self._lying())

    def _lying(self) -> dict[Path, os.stat_result]:
        found = {}
        for path in [*self._chroot.glob(f"{INCOMING}/*/*"), *self._chroot.glob(f"{RECEIPTS}/*")]:
            with suppress(FileNotFoundError):
                found[path] = path.lstat()
        return found

    def _remove(self, paths: Iterable[Path]) -> None:
        for path in paths:
            with suppress(OSError):
                path.unlink()

    def _copy(self, here: Path, area: Area, path: str, session: Session) -> None:
        with open(os.open(here, _FILE), "rb", buffering=0) as file:  # noqa: PTH123 - by descriptor
            status, descriptor = os.fstat(file.fileno()), file.fileno()
            if not stat.S_ISREG(status.st_mode) or _has_hole(descriptor, status.st_size):
                raise PermissionError
            with self._owner.acting():
                receiving = area.receive(path, status.st_size)
                try:
                    _fill(receiving, descriptor, status.st_size)
                    receiving.finish(session)
                finally:
                    receiving.drop()


def _has_hole(descriptor: int, size: int) -> bool:
    """No program sends one, and who could would have us write 256 MiB for each byte that it sent."""
    return size > 0 and os.lseek(descriptor, 0, os.SEEK_HOLE) < size


def _fill(receiving: Receiving, descriptor: int, size: int) -> None:
    """Copy no more than `size` bytes, though the file may grow meanwhile."""
    offset = 0
    while block := os.pread(descriptor, min(_BLOCK, size - offset), offset):
        receiving.write(offset, memoryview(block))
        offset += len(block)
