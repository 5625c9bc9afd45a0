"""What a recipient may send us: files into `/incoming/AGREEMENT/` and `/receipts/`, which nobody can read back here.

The flows make the folder of an agreement that takes files, and that of a recipient's receipts; no other can be written
to. A file has a hidden name until the recipient's program has closed it and all of it is on disk; then it appears, with
a ticket that says how it came (`schemas.accounts.Upload`), for the flows to take away. What goes to `/incoming/` is
sealed to us, so that this server cannot open it. Nothing here is executed or read; nothing that is there is replaced,
and a connection that breaks leaves nothing.
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from apps.dropzone.namespace import Node, segments
from apps.dropzone.reading import Session
from core.clock import to_rfc3339, utc_now
from core.errors import UnusableInput
from core.ids import checked_name, new_id
from schemas.accounts import INCOMING, Upload, ticket_name
from schemas.receipts import RECEIPT_NAME, RECEIPTS

__all__ = ["FILES", "INCOMING", "RECEIPTS", "RECEIPT_FILES", "Area", "Limits", "Receiving"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DRAFT = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640
_DRAFT_SUFFIX = ".partial"
_APPEARING = threading.Lock()  # one at a time: ticket and file belong together


@dataclass(frozen=True)
class Limits:
    """Of one file in bytes, and of files that one agreement may have here, on their way too."""

    size: int
    files: int


@dataclass(frozen=True)
class Kind:
    """An area is called `root`, has `folders` levels of folders, and takes files with the names that `names` allows."""

    root: str
    folders: int
    names: re.Pattern[str] | None = None


FILES = Kind(INCOMING, folders=1)  # one folder for each agreement
RECEIPT_FILES = Kind(RECEIPTS, folders=0, names=RECEIPT_NAME)


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
            nodes = [_node(entry) for entry in os.scandir(folder) if _is_visible(entry, folders=folders)]
        return sorted(nodes, key=lambda node: node.name)

    def receive(self, path: str) -> Receiving:
        """Begin a file. FileExistsError if there is one of its name; PermissionError beyond the limits."""
        names = segments(path)
        allowed = self._kind.names
        if len(names) != self._kind.folders + 2 or (allowed and not allowed.fullmatch(names[-1])):
            raise PermissionError
        name = _checked(names[-1])
        with self._entered(names[1:-1]) as folder:
            here = _names(folder)
            if name in here:
                raise FileExistsError
            files = [each for each in here if not each.startswith(".") or each.endswith(_DRAFT_SUFFIX)]
            if len(files) >= self._limits.files:
                raise PermissionError
            return Receiving(os.dup(folder), name, self._limits.size)

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


class Receiving:
    """One file on its way. Owns the descriptors until `finish` or `drop`."""

    def __init__(self, folder: int, name: str, most: int) -> None:
        self._folder = folder
        self._name = name
        self._most = most
        self._draft = f".{new_id()}{_DRAFT_SUFFIX}"
        self._size = 0
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
            if offset + len(data) > self._most:
                raise OSError("the file is too large")
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
            with _APPEARING:
                if self._name in _names(self._folder):  # before its ticket is touched
                    raise FileExistsError
                self._write_ticket(ticket.to_bytes())
                os.link(self._draft, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go of it; what did not appear is gone."""
        if not self._open:
            return
        self._open = False
        with suppress(FileNotFoundError):
            os.unlink(self._draft, dir_fd=self._folder)
        os.fsync(self._folder)
        os.close(self._file)
        os.close(self._folder)

    def _write_ticket(self, content: bytes) -> None:
        draft = _ticket_draft(self._draft)
        file = os.open(draft, _DRAFT, _MODE, dir_fd=self._folder)
        try:
            if os.write(file, content) != len(content):
                raise OSError("the disk is full")
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(draft, ticket_name(self._name), src_dir_fd=self._folder, dst_dir_fd=self._folder)


def remove_drafts(incoming: Path) -> None:
    """Remove what was on its way when the server was killed, to `incoming` or the receipts beside it; what comes in
    through another server that runs is left alone.
    """
    receipts = incoming.with_name(RECEIPTS)
    for draft in [*incoming.glob(f"*/*/.*{_DRAFT_SUFFIX}"), *receipts.glob(f"*/.*{_DRAFT_SUFFIX}")]:
        file = os.open(draft, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.unlink(missing_ok=True)
            draft.with_name(_ticket_draft(draft.name)).unlink(missing_ok=True)
        except BlockingIOError:
            continue
        finally:
            os.close(file)


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _ticket_draft(draft: str) -> str:
    return f"{draft}.ticket"


def _checked(name: str) -> str:
    try:
        return checked_name(name, "a name")
    except UnusableInput:
        pass
    raise FileNotFoundError


def _is_visible(entry: os.DirEntry[str], *, folders: bool) -> bool:
    try:
        checked_name(entry.name, "a name")
    except UnusableInput:
        return False
    return entry.is_dir(follow_symlinks=False) if folders else entry.is_file(follow_symlinks=False)


def _node(entry: os.DirEntry[str]) -> Node:
    status = entry.stat(follow_symlinks=False)
    directory = entry.is_dir(follow_symlinks=False)
    return Node(entry.name, directory, 0 if directory else status.st_size, int(status.st_mtime))
