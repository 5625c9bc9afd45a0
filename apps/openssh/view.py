"""What of a recipient's deliveries it sees: a tree of hard links to what is complete and visible in the drop zone.

OpenSSH shows every file that a user may see, also hidden ones, so staging folders must not be there at all. A new
folder is built where nobody looks and appears by one rename, as a delivery does; what goes from the drop zone goes
from here. No byte is copied, so both must be on one file system.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from apps.dropzone.namespace import children
from core.errors import UnusableInput
from core.ids import new_id

_FOLDER_MODE = 0o750
_GROUP_MAY_READ = 0o040


class View:
    """Follows the folder `source`, which may not exist, in the folder `target`, readable for the group `gid`."""

    def __init__(self, source: Path, target: Path, workshop: Path, gid: int) -> None:
        self._source = source
        self._target = target
        self._workshop = workshop
        self._gid = gid

    def follow(self, hidden: Collection[str] = ()) -> None:
        """Make the view as its source is now, without the folders in it that are `hidden`.

        OSErrors other than of what goes meanwhile are raised.
        """
        self._follow(self._source, self._target, hidden)

    def _follow(self, source: Path, target: Path, hidden: Collection[str] = ()) -> None:
        wanted = {entry.name: entry for entry in _entries(source) if entry.name not in hidden}
        shown = {entry.name: entry for entry in _entries(target)}
        for name in shown.keys() - wanted.keys():
            self._remove(target / name)
        for name, entry in wanted.items():
            if name in shown and _same(entry, shown[name]):
                if entry.is_dir(follow_symlinks=False):
                    self._follow(source / name, target / name)
            else:
                if name in shown:
                    self._remove(target / name)
                with suppress(FileNotFoundError):  # it went while it was looked at; the next time sees that
                    self._appear(source / name, target / name)

    def _appear(self, source: Path, target: Path) -> None:
        draft = self._workshop / new_id()
        try:
            self._build(source, draft)
            draft.rename(target)
        finally:
            _discard(draft)

    def _build(self, source: Path, draft: Path) -> None:
        if not source.is_dir() or source.is_symlink():
            _link(source, draft)
            os.chown(draft, -1, self._gid, follow_symlinks=False)
            draft.chmod(draft.stat().st_mode & 0o777 | _GROUP_MAY_READ)
            return
        draft.mkdir(mode=_FOLDER_MODE)
        os.chown(draft, -1, self._gid)
        draft.chmod(_FOLDER_MODE)
        for entry in _entries(source):
            self._build(source / entry.name, draft / entry.name)

    def _remove(self, path: Path) -> None:
        gone = self._workshop / new_id()
        path.rename(gone)  # as a whole
        _discard(gone)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The visible files and folders; none if the folder is not there."""
    with suppress(FileNotFoundError):
        yield from children(folder)


def _same(entry: os.DirEntry[str], shown: os.DirEntry[str]) -> bool:
    """Two folders, or two names of one file."""
    folder = entry.is_dir(follow_symlinks=False)
    if folder != shown.is_dir(follow_symlinks=False):
        return False
    return folder or entry.inode() == shown.inode()


def _link(source: Path, draft: Path) -> None:
    try:
        os.link(source, draft, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        return
    raise UnusableInput("GLA_HOME and GLA_OPENSSH__CHROOTS must be on one file system: move one of them")


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
