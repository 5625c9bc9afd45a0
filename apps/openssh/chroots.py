"""What one recipient sees: `deliveries/`, and the areas where it may put files for us. Root owns the rest.

A socket takes what its sessions log: `/dev/log` is where the C library looks, inside the chroot too. Who it comes from
is thereby certain, whatever it says.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from apps.dropzone.incoming import INCOMING, RECEIPTS
from apps.dropzone.namespace import DELIVERIES
from apps.openssh.users import UnixUser
from apps.openssh.view import View

_SEEN = 0o750
_MAY_PUT = 0o1770  # sticky: nobody takes away what another put
_WORKSHOP = ".workshop"  # beside the chroots: the rename from there must stay within one mount


class Chroot:
    """The chroot of `user` below `folder`, for the drop zone `root`. Owns its socket until `close`.

    `revoked` names the agreements whose folders are not shown.
    """

    def __init__(self, folder: Path, root: Path, user: UnixUser, revoked: frozenset[str]) -> None:
        self.user = user
        self.folder = folder / user.name
        self._root = root
        for path in (self.folder, self.folder / DELIVERIES):
            _owned(path, user.gid, _SEEN)
        workshop = folder / _WORKSHOP
        _owned(workshop, 0, 0o700)
        self._view = View(root / DELIVERIES / user.name, self.folder / DELIVERIES, workshop, user.gid)
        self.log = self._listen()
        self.follow(revoked)

    def follow(self, revoked: frozenset[str]) -> None:
        """Show what the drop zone holds for this recipient now."""
        self._view.follow(revoked)
        areas = dict(self._areas())
        for area in (self.folder / INCOMING, self.folder / RECEIPTS):
            for path in [*area.glob("*/"), area] if area.exists() else []:
                if path not in areas and path.is_dir() and not path.is_symlink():
                    with suppress(OSError):  # a file that is on its way keeps it
                        path.rmdir()
        for path, mode in areas.items():
            _owned(path, self.user.gid, mode)

    def close(self) -> None:
        """Take no more of the log; what its sessions would still say is lost."""
        self.log.close()
        (self.folder / "dev" / "log").unlink(missing_ok=True)

    def _areas(self) -> Iterator[tuple[Path, int]]:
        """The folders for what it sends, as the flows made them in the drop zone, with their modes here."""
        agreements = self._root / INCOMING / self.user.name
        if agreements.is_dir() and not agreements.is_symlink():
            yield self.folder / INCOMING, _SEEN
            for entry in os.scandir(agreements):
                if entry.is_dir(follow_symlinks=False):
                    yield self.folder / INCOMING / entry.name, _MAY_PUT
        receipts = self._root / RECEIPTS / self.user.name
        if receipts.is_dir() and not receipts.is_symlink():
            yield self.folder / RECEIPTS, _MAY_PUT

    def _listen(self) -> socket.socket:
        path = self.folder / "dev" / "log"
        _owned(path.parent, self.user.gid, _SEEN)
        path.unlink(missing_ok=True)
        log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        log.setblocking(False)
        log.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        log.bind(str(path))
        os.chown(path, 0, self.user.gid)
        path.chmod(0o660)
        return log


def _owned(path: Path, gid: int, mode: int) -> None:
    """A folder of root's, with this group and mode; one that is so already is left alone."""
    path.mkdir(exist_ok=True)
    status = path.lstat()
    if (status.st_uid, status.st_gid) != (0, gid):
        os.chown(path, 0, gid, follow_symlinks=False)
    if stat.S_IMODE(status.st_mode) != mode:
        path.chmod(mode)
