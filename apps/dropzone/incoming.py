"""What a recipient may send us: files into `/incoming/AGREEMENT/` and `/receipts/`, which nobody can read back here.

The flows make the folder of an agreement that takes files, and that of a recipient's receipts; no other can be written
to. A file has a hidden name until the recipient's program has closed it and all of it is on disk; then it appears, with
a ticket that says how it came (`schemas.accounts.Upload`), for the flows to take away. What goes to `/incoming/` is
sealed to us, so that this server cannot open it. Nothing here is executed or read; nothing that is there is replaced,
and a connection that breaks leaves nothing. What holds for all processes, and for two servers, is held by locks on
folders and files: those that a killed one had are free.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from apps.dropzone.namespace import Node, children, segments
from apps.dropzone.reading import Session
from core.clock import to_rfc3339, utc_now
from core.errors import UnusableInput
from core.ids import checked_name, new_id
from core.settings import DropzoneSettings
from schemas.accounts import INCOMING, Upload, ticket_name
from schemas.receipts import RECEIPT_NAME, RECEIPTS, SIGNATURE_BYTES

__all__ = ["FILES", "INCOMING", "RECEIPTS", "RECEIPT_FILES", "Area", "Limits", "Receiving", "areas"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DRAFT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640
_DRAFT_SUFFIX = ".partial"
_TICKET_DRAFT = ".ticket"  # after the name of the draft that it belongs to
_STEP_BYTES = 8 * 1024 * 1024  # by which a file may grow before it is asked again whether there is room


@dataclass(frozen=True)
class Limits:
    """Of one file in bytes, and of files that one agreement may have here, on their way too; of all bytes that one
    recipient may have here; and how many must stay free on the disk for others.
    """

    size: int
    files: int
    waiting: int = 1024**3
    reserve: int = 0

    @classmethod
    def of(cls, settings: DropzoneSettings) -> Limits:
        return cls(
            settings.upload_bytes, settings.upload_files, settings.upload_recipient_bytes, settings.upload_reserve_bytes
        )


@dataclass(frozen=True)
class Kind:
    """An area is called `root`, has `folders` levels of folders, and takes files with the names that `names` allows."""

    root: str
    folders: int
    names: re.Pattern[str] | None = None


FILES = Kind(INCOMING, folders=1)  # one folder for each agreement
RECEIPT_FILES = Kind(RECEIPTS, folders=0, names=RECEIPT_NAME)
_RECEIPT_LIMITS = Limits(size=SIGNATURE_BYTES, files=64)  # that may wait at a time, with their signatures


class Area:
    """`folder` is the recipient's own in `incoming/` or `receipts/`; it may not exist. Methods raise OSErrors."""

    def __init__(self, folder: Path, limits: Limits, kind: Kind = FILES) -> None:
        self._folder = folder
        self._limits = limits
        self._kind = kind

    @property
    def exists(self) -> bool:
        return self._folder.is_dir() and not self._folder.is_symlink()

    def find(self, path: str) -> Node:
        """What the path names: the area itself, an agreement's folder, or a file that waits to be taken."""
        *above, name = segments(path)
        if not above:
            if self.exists:
                return Node(self._kind.root, is_directory=True)
            raise FileNotFoundError
        for node in self.list("/".join(above)):
            if node.name == name:
                return node
        raise FileNotFoundError

    def list(self, path: str) -> list[Node]:
        """What is in a folder, by name: agreements, or files that wait."""
        names = segments(path)
        folders = len(names) <= self._kind.folders
        with self._entered(names[1:]) as folder:
            nodes = [_node(entry) for entry in children(folder) if entry.is_dir(follow_symlinks=False) == folders]
        return sorted(nodes, key=lambda node: node.name)

    def receive(self, path: str, size: int = 0) -> Receiving:
        """Begin a file, of `size` bytes if that is known. FileExistsError if there is one of its name; PermissionError
        beyond the limits; OSError without room for it.
        """
        names = segments(path)
        allowed = self._kind.names
        if len(names) != self._kind.folders + 2 or (allowed and not allowed.fullmatch(names[-1])):
            raise PermissionError
        name = _checked(names[-1])
        with self._entered(names[1:-1]) as folder, self.alone():
            here = _names(folder)
            if name in here:
                raise FileExistsError
            files = [each for each in here if not each.startswith(".") or each.endswith(_DRAFT_SUFFIX)]
            if len(files) >= self._limits.files:
                raise PermissionError
            self.check_room(folder, size)
            return Receiving(self, os.dup(folder), name, self._limits.size)

    def check_room(self, folder: int, more: int) -> None:
        """OSError if `more` bytes would leave too little of the disk, or are too much for one recipient."""
        disk = os.fstatvfs(folder)
        if disk.f_bavail * disk.f_frsize < self._limits.reserve + more:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self._waiting() + more > self._limits.waiting:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    def alone(self) -> AbstractContextManager[None]:
        """Of all that begin files, let them appear or clean up here, in whatever process; not of those that take them
        away, which may be long at it.
        """
        return _alone(self._folder.parent)

    def _waiting(self) -> int:
        total = 0
        for _, _, names, folder in os.fwalk(self._folder):
            for name in names:
                with suppress(FileNotFoundError):  # taken just now
                    total += os.lstat(name, dir_fd=folder).st_size
        return total

    @contextmanager
    def _entered(self, names: tuple[str, ...]) -> Iterator[int]:
        """The open descriptor of a folder, which is closed in the end."""
        folder = os.open(self._folder, _FOLDER)
        try:
            for name in names:
                inner = os.open(_checked(name), _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def areas(incoming: Path, name: str, limits: Limits) -> dict[str, Area]:
    """What the recipient `name` may send: files to `incoming`, within `limits`, and receipts to the one beside it."""
    receipts = incoming.with_name(RECEIPTS)
    return {INCOMING: Area(incoming / name, limits), RECEIPTS: Area(receipts / name, _RECEIPT_LIMITS, RECEIPT_FILES)}


class Receiving:
    """One file on its way. Owns the descriptors until `finish` or `drop`."""

    def __init__(self, area: Area, folder: int, name: str, most: int) -> None:
        self._area = area
        self._folder = folder
        self._name = name
        self._most = most
        self._draft = f".{new_id()}{_DRAFT_SUFFIX}"
        self._size = self._asked = 0
        self._started = to_rfc3339(utc_now())
        self._open = False
        try:
            self._file = os.open(self._draft, _DRAFT, _MODE, dir_fd=folder)
            fcntl.flock(self._file, fcntl.LOCK_EX)  # tells `remove_drafts` that it is in use
            self._open = True
        finally:
            if not self._open:
                os.close(folder)

    @property
    def node(self) -> Node:
        return Node(self._name, is_directory=False, size=self._size)

    def write(self, offset: int, data: memoryview) -> None:
        """OSError beyond the limit, or when the disk takes no more: the file never appears then."""
        if not self._open:
            raise OSError("the file is closed")
        try:
            end = offset + len(data)
            if end > self._most:
                raise OSError("the file is too large")
            if end > self._asked:
                self._area.check_room(self._folder, end - self._size)
                self._asked = end + _STEP_BYTES
            while data:
                written = os.pwrite(self._file, data, offset)
                data, offset = data[written:], offset + written
        except OSError:
            self.drop()  # the client will close it all the same
            raise
        self._size = max(self._size, offset)

    def finish(self, session: Session) -> None:
        """Let it appear under its name, with its ticket; FileExistsError if another was first."""
        if not self._open:
            raise OSError("the file is closed")
        ticket = Upload(
            recipient=session.recipient,
            size=self._size,
            address=session.address,
            session=session.id,
            fingerprint=session.fingerprint,
            started=self._started,
            ended=to_rfc3339(utc_now()),
        )
        try:
            os.fsync(self._file)
            self._write_ticket(ticket.to_bytes())
            with self._area.alone():
                self._appear()
        finally:
            self.drop()

    def _appear(self) -> None:
        """First the ticket, so that no file is ever without its own."""
        if self._name in _names(self._folder):  # before its ticket is touched
            raise FileExistsError
        ticket = ticket_name(self._name)
        os.rename(self._draft + _TICKET_DRAFT, ticket, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        try:
            os.link(self._draft, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError:
            os.unlink(ticket, dir_fd=self._folder)
            raise

    def drop(self) -> None:
        """Let go of it; what did not appear is gone."""
        if not self._open:
            return
        self._open = False
        for name in (self._draft, self._draft + _TICKET_DRAFT):
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._folder)
        os.fsync(self._folder)
        os.close(self._file)
        os.close(self._folder)

    def _write_ticket(self, content: bytes) -> None:
        file = os.open(self._draft + _TICKET_DRAFT, _DRAFT, _MODE, dir_fd=self._folder)
        try:
            if os.write(file, content) != len(content):
                raise OSError("the disk is full")
            os.fsync(file)
        finally:
            os.close(file)


def remove_drafts(incoming: Path) -> None:
    """Remove what was on its way when its process was killed, to `incoming` or the receipts beside it: drafts, and
    tickets whose file never appeared. What comes in through a process that runs is left alone.
    """
    for root, folders in ((incoming, "*/*"), (incoming.with_name(RECEIPTS), "*")):
        if root.is_dir():
            with _alone(root):
                for folder in root.glob(folders):
                    if folder.is_dir() and not folder.is_symlink():
                        _remove_drafts_in(folder)


def _remove_drafts_in(folder: Path) -> None:
    here = {path.name for path in folder.iterdir()}
    for draft in (folder / name for name in here if name.startswith(".") and name.endswith(_DRAFT_SUFFIX)):
        with suppress(FileNotFoundError):  # it appeared just now, or was dropped
            file = os.open(draft, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
                draft.with_name(draft.name + _TICKET_DRAFT).unlink(missing_ok=True)
            except BlockingIOError:
                continue
            finally:
                os.close(file)
    for name in here:
        if (taken := name.removeprefix(".").removesuffix(".upload")) not in here and name == ticket_name(taken):
            (folder / name).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    lock = os.open(folder, _FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _checked(name: str) -> str:
    try:
        return checked_name(name, "a name")
    except UnusableInput:
        pass
    raise FileNotFoundError


def _node(entry: os.DirEntry[str]) -> Node:
    status = entry.stat(follow_symlinks=False)
    directory = entry.is_dir(follow_symlinks=False)
    return Node(entry.name, directory, 0 if directory else status.st_size, int(status.st_mtime))
