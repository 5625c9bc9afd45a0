"""Every effect that this process has outside itself, as a point with a name at which it can be stopped for good.

Python tells of each file that it opens to write, and of each rename, link, removal and new folder, before it happens
(`sys.addaudithook`: nothing in Python gets around that). The rest is wrapped: commits, fsync, pwrite, and the calls to
a destination on another machine. A process that is killed just after an effect leaves what one leaves that is killed
just before the next; so each effect is a point, and the end of the run is the last one.

A point is named after what it does to which file, and by the how-manieth time that is, not by its place in the run:
threads may come in another order. Ids, tokens and random names count as one name.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

END = "the end #1"
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_UNIMPORTANT = re.compile(
    r"/(dev|proc)/.*|.*\.pyc(\.\d+)?|.* \(deleted\)"
)  # a file without a name goes with the process
_RANDOM = (
    (re.compile(r"\.[0-9a-f]{16}\.partial"), ".partial"),
    (re.compile(r"[0-9a-f]{32}\d*(-\d+)?"), "ID"),
    (re.compile(r"(open|sealed)-\d+"), r"\1-N"),
    (re.compile(r"tmp[a-z0-9_]{8}$"), "tmp"),
)
_OURS = ("flows", "ledger", "agreements", "keys", "apps")
_REMOTE = ("put", "resume", "rename", "delete", "make_directory", "lock")


def normal(name: str) -> str:
    """A file's name without what differs from run to run."""
    for pattern, word in _RANDOM:
        name = pattern.sub(word, name)
    return name


def _below(folder: str) -> Iterator[os.DirEntry[str]]:
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _below(entry.path)


class Points:
    """Tells of each point that is reached, with the state of the world there, and calls `stop` at the chosen one."""

    def __init__(
        self, home: Path, tell: Callable[[str, int], None], chosen: str | None, stop: Callable[[], None]
    ) -> None:
        self._home = f"{home.resolve()}/"
        self._tell, self._chosen, self._stop = tell, chosen, stop
        self._seen: Counter[str] = Counter()
        self._elsewhere = 0
        self._lock = threading.Lock()
        self._on = True

    def reached(self, what: str) -> None:
        with self._lock:
            if not self._on:
                return
            self._seen[what] += 1
            name = f"{what} #{self._seen[what]}"
            self._tell(name, self._state())
        if name == self._chosen:
            self._stop()

    def watch(self, remote: type | None = None) -> None:
        """Begin. `remote` is a transport to another machine, whose calls are effects."""
        sys.addaudithook(self._audited)
        for name in ("fsync", "fdatasync", "pwrite", "sendfile", "copy_file_range"):
            self._wrap(os, name, lambda call, *given: f"{call} {self._open_file(given[0])}")
        self._wrap(Connection, "_commit_impl", self._commit)
        for name in _REMOTE if remote else ():
            if hasattr(remote, name):
                self._wrap(remote, name, lambda call, _, *given: " ".join([call, *map(str, given[-1:])]))

    def end(self) -> None:
        """The run is over; what follows is no part of it."""
        self.reached("the end")
        self._on = False

    def _state(self) -> int:
        """A number that changes with all that a process which is killed here leaves behind. A file whose name is put on
        the disk (fsync) is the same file.
        """
        seen = []
        for each in _below(self._home):
            with suppress(FileNotFoundError):  # another thread has just taken it away
                seen.append((each.name, each.stat().st_mtime_ns, each.stat().st_size))
        return zlib.crc32(repr((sorted(seen), self._elsewhere)).encode())

    def _wrap(self, owner: Any, name: str, describe: Callable[..., str | None]) -> None:
        real = getattr(owner, name)

        def wrapped(*given: Any, **named: Any) -> Any:
            if (what := describe(name, *given)) is not None and not _UNIMPORTANT.fullmatch(what.partition(" ")[2]):
                self.reached(normal(what))
            done = real(*given, **named)
            if name not in ("fsync", "fdatasync"):
                self._elsewhere += 1  # it may be in a database, or on another machine, where nothing is seen of it
            return done

        setattr(owner, name, wrapped)

    def _commit(self, _: str, connection: Connection) -> str | None:
        if not connection.get_execution_options().get("gla_write"):
            return None
        frame: Any = sys._getframe(2)
        while frame.f_globals.get("__name__", "").partition(".")[0] not in _OURS:
            frame = frame.f_back
        return f"commit {frame.f_globals['__name__']}.{frame.f_code.co_name}"

    def _audited(self, event: str, given: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(given[0], int) and given[2] & _WRITES:
            self._file("write", given[0])
        elif event in ("os.remove", "os.rmdir"):
            self._file(event[3:], given[0], given[1])
        elif event == "os.mkdir":
            self._file("mkdir", given[0], given[2])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self._file(event[3:], given[1])
        elif event == "os.truncate":
            self._file("truncate", given[0])

    def _file(self, what: str, path: Any, folder: int = -1) -> None:
        if isinstance(path, int):
            name = self._open_file(path)
        else:
            parent = "" if folder == -1 else self._open_file(folder)
            name = str(Path(parent, os.fsdecode(path))).replace(self._home, "")
        if not _UNIMPORTANT.fullmatch(name):
            self.reached(normal(f"{what} {name}"))

    def _open_file(self, descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink()).replace(self._home, "")
