"""What OpenSSH's sftp-server logs of one session, at level DEBUG1: which bytes of which file were sent, and received.

It handles one request after another, and what it sends is told in the line after that of the request. It logs the bytes
that it really sent; a file that is still open when the connection ends is closed with the word `forced`. What a client
chose itself, a name, is only ever compared: OpenSSH writes control characters in it as escapes. It cuts a line at 1,023
characters, so a long name hides what was asked, but never that something was sent: the log is `unclear` then.

>>> log = SessionLog(lambda: "2026-04-05T12:00:00Z")
>>> for line in ('open "/a" flags READ mode 0666', "debug1: request 5: sent handle handle 0",
...              'debug1: request 6: read "/a" (handle 0) off 10 len 8', "debug1: request 6: sent data len 3"):
...     log.feed(line)
>>> closed = log.feed('close "/a" bytes read 3 written 0')
>>> closed.path, closed.spans, closed.by_client
('/a', ((10, 13),), True)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from schemas.spans import Spans, add_span

_DATAGRAM = re.compile(rb"<\d{1,3}>.{15} [^ \[]{1,64}\[\d+\]: (.*?)\0?\n?", re.DOTALL)  # RFC 3164 as glibc writes it
_OPENED = re.compile(r"session opened for local user \S+ from \[([^\]]*)\]")
_OVER = re.compile(r"session closed for local user \S+ from \[[^\]]*\]")
_OPEN = re.compile(r'open "(.*)" flags (\S*) mode 0[0-7]+')
_OPENDIR = re.compile(r'opendir "(.*)"')
_HANDLE = re.compile(r"debug1: request \d+: sent handle (?:handle )?(\d+)")  # until 9.3 it says the word twice
_READ = re.compile(r'debug1: request (\d+): read "(.*)" \(handle (\d+)\) off (\d+) len \d+')
_DATA = re.compile(r"debug1: request (\d+): sent data len (\d+)")
_WRITE = re.compile(r'debug1: request \d+: write ".*" \(handle (\d+)\) off \d+ len (\d+)')
_CLOSE = re.compile(r'(forced )?close "(.*)" bytes read (\d+) written (\d+)')


def message(datagram: bytes) -> str | None:
    """The text in what syslog(3) sends; None if it has another form."""
    found = _DATAGRAM.fullmatch(datagram)
    return None if found is None else found[1].decode("utf-8", "replace")


@dataclass(frozen=True)
class Closed:
    """A file that was open, by the name that the client used. Moments are RFC 3339 text."""

    path: str
    writing: bool
    spans: Spans  # bytes that were sent
    by_client: bool  # closed by the client, and all of what was read or written is known to be done
    started: str
    ended: str


@dataclass
class _Handle:
    path: str
    writing: bool
    started: str
    heard: str  # when it last sent something
    spans: Spans = ()
    sent: int = 0
    offered: int = 0  # bytes to write, of which the disk may have refused some

    @property
    def totals(self) -> tuple[int, int]:
        return self.sent, self.offered


@dataclass(frozen=True)
class _Read:
    request: str
    handle: _Handle
    offset: int


class SessionLog:
    """Feed it the lines of one session in order. `address` is known after the first; the last makes it `over`.

    Once it is `unclear`, something was opened or sent of which the log does not tell what.
    """

    def __init__(self, now: Callable[[], str]) -> None:
        self._now = now
        self._asked: _Handle | _Read | None = None  # by the line that is fed
        self._before: _Handle | _Read | None = None  # by the line before it, which alone it can answer
        self._handles: dict[int, _Handle] = {}
        self._steps: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Closed | None]], ...] = (
            (_DATA, self._sent),
            (_READ, self._read),
            (_WRITE, self._write),
            (_HANDLE, self._opened),
            (_OPEN, self._open),
            (_OPENDIR, self._open_folder),
            (_CLOSE, self._closed),
            (_OPENED, self._begun),
            (_OVER, self._over),
        )
        self.address: str | None = None
        self.over = self.unclear = False

    def feed(self, line: str) -> Closed | None:
        """Take one line; a file that it closes is returned."""
        self._before, self._asked = self._asked, None
        for pattern, step in self._steps:
            if found := pattern.fullmatch(line):
                return step(found)
        return None

    @property
    def sending(self) -> list[str]:
        """The names of the files that are open to be written."""
        return [handle.path for handle in self._handles.values() if handle.writing]

    def left(self) -> list[Closed]:
        """The files that a session still had open which ended without a word: the system kills one that writes to a
        connection that broke.
        """
        handles = [self._handles.pop(number) for number in sorted(self._handles)]
        return [self._of(handle, by_client=False) for handle in handles]

    def _read(self, found: re.Match[str]) -> None:
        """A name that holds what looks like the rest of the line, and is cut there, is not that of the handle."""
        handle = self._handles.get(int(found[3]))
        if handle is not None and handle.path == found[2]:
            self._asked = _Read(found[1], handle, int(found[4]))

    def _sent(self, found: re.Match[str]) -> None:
        read = self._before
        if not isinstance(read, _Read) or read.request != found[1]:
            self.unclear = True
            return
        length = int(found[2])
        read.handle.spans = add_span(read.handle.spans, read.offset, read.offset + length)
        read.handle.sent += length
        read.handle.heard = self._now()

    def _write(self, found: re.Match[str]) -> None:
        if handle := self._handles.get(int(found[1])):
            handle.offered += int(found[2])

    def _open(self, found: re.Match[str]) -> None:
        now = self._now()
        self._asked = _Handle(found[1], "WRITE" in found[2].split(","), started=now, heard=now)

    def _open_folder(self, found: re.Match[str]) -> None:
        """Its handle has a number as that of a file, and nothing is read or written with it."""
        now = self._now()
        self._asked = _Handle(found[1], writing=False, started=now, heard=now)

    def _opened(self, found: re.Match[str]) -> None:
        if isinstance(self._before, _Handle):
            self._handles[int(found[1])] = self._before
        else:
            self.unclear = True

    def _closed(self, found: re.Match[str]) -> Closed | None:
        """The line names no handle: of several with one name it is the one of which so much was read and written."""
        totals = (int(found[3]), int(found[4]))
        named = [number for number, handle in self._handles.items() if handle.path == found[2]]
        exact = [number for number in named if self._handles[number].totals == totals]
        if not named:
            return None
        handle = self._handles.pop((exact or named)[0])
        fine = found[1] is None and bool(exact)  # otherwise a line of the log was lost, or the disk took not all
        return self._of(handle, by_client=fine)

    def _begun(self, found: re.Match[str]) -> None:
        self.address = found[1]

    def _over(self, found: re.Match[str]) -> None:  # noqa: ARG002 - a step like the others
        self.over = True

    def _of(self, handle: _Handle, *, by_client: bool) -> Closed:
        """One that the client did not close ended when it last sent something, however late that is noticed: so what
        the client fetches afterwards, in another session, comes after it.
        """
        ended = self._now() if by_client else handle.heard
        return Closed(handle.path, handle.writing, handle.spans, by_client, handle.started, ended)
