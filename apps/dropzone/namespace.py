"""What one recipient sees: `/deliveries/` and below it only its own folder.

No text from outside is ever joined to a path. A requested name is looked up among the names that the file system
lists, one folder at a time through open descriptors, and the listed name is what is opened. Links are not followed,
and what is not a visible file or folder does not exist: names that `core.ids.checked_name` refuses (so everything
hidden, such as staging folders), links, devices, sockets.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import UnusableInput
from core.ids import checked_name

DELIVERIES = "deliveries"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe that took the name must not block us


@dataclass(frozen=True)
class Node:
    """A file or folder as the recipient sees it."""

    name: str
    is_directory: bool
    size: int = 0  # bytes; 0 for a folder
    modified: int = 0  # seconds since 1970


@dataclass(frozen=True)
class OpenedFile:
    """An open file; whoever got it closes the descriptor."""

    descriptor: int
    node: Node
    path: str  # below the recipient's folder


def segments(path: str) -> tuple[str, ...]:
    """The names in a path as the client meant it: from the root, `..` at the root stays there (POSIX pathnames)."""
    names: list[str] = []
    for name in path.split("/"):
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return tuple(names)


class Namespace:
    """`folder` is the recipient's own; it may not exist yet. What is `hidden` in it does not exist for the recipient.

    Methods raise FileNotFoundError and other OSErrors.
    """

    def __init__(self, folder: Path, hidden: Collection[str] = ()) -> None:
        self._folder = folder
        self._hidden = hidden

    def find(self, path: str) -> Node:
        """What the path names."""
        names = self._names(path)
        if not names:
            return Node("/", is_directory=True)
        if names == (DELIVERIES,):
            return Node(DELIVERIES, is_directory=True)
        with self._entered(names[:-1]) as folder:
            return _listed(_child(folder, names[-1]))

    def list(self, path: str) -> list[Node]:
        """What is in a folder, by name."""
        names = self._names(path)
        if not names:
            return [Node(DELIVERIES, is_directory=True)]
        if names == (DELIVERIES,) and not self._folder.is_dir():
            return []
        with self._entered(names) as folder:
            hidden = self._hidden if len(names) == 1 else ()
            found = (_listed(entry) for entry in children(folder) if entry.name not in hidden)
            return sorted(found, key=lambda node: node.name)

    def open(self, path: str) -> OpenedFile:
        """Open a file for reading."""
        names = self._names(path)
        with self._entered(names[:-1]) as folder:
            name = _child(folder, names[-1]).name
            descriptor = os.open(name, _FILE, dir_fd=folder)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise FileNotFoundError
        return OpenedFile(descriptor, _node(name, status), "/".join(names[1:]))

    def _names(self, path: str) -> tuple[str, ...]:
        names = segments(path)
        if any(name in self._hidden for name in names[1:2]):
            raise FileNotFoundError
        return names

    @contextmanager
    def _entered(self, names: Sequence[str]) -> Iterator[int]:
        """The open descriptor of a folder, which is closed in the end."""
        if not names or names[0] != DELIVERIES:
            raise FileNotFoundError
        folder = os.open(self._folder, _FOLDER)
        try:
            for name in names[1:]:
                inner = os.open(_child(folder, name).name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def children(folder: int | Path) -> Iterator[os.DirEntry[str]]:
    """What a recipient may see in a folder: real files and folders whose names are not hidden."""
    with os.scandir(folder) as entries:
        for entry in entries:
            real = entry.is_dir(follow_symlinks=False) or entry.is_file(follow_symlinks=False)
            if real and _is_visible(entry.name):
                yield entry


def _child(folder: int, wanted: str) -> os.DirEntry[str]:
    for entry in children(folder):
        if entry.name == wanted:
            return entry
    raise FileNotFoundError


def _listed(entry: os.DirEntry[str]) -> Node:
    return _node(entry.name, entry.stat(follow_symlinks=False))


def _node(name: str, status: os.stat_result) -> Node:
    directory = stat.S_ISDIR(status.st_mode)
    return Node(name, directory, 0 if directory else status.st_size, int(status.st_mtime))


def _is_visible(name: str) -> bool:
    try:
        checked_name(name, "a name")
    except UnusableInput:
        return False
    return True
