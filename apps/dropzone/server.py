"""Listens, and gives each connection a process of its own, so that speed adds up and one harms no other.

>>> serve(root, host_key_path, settings)  # doctest: +SKIP
until SIGTERM or SIGINT: then nobody new comes in, and what is under way may finish for `stop_seconds`; a second signal
ends it at once. SIGHUP reads host key and settings anew, for who comes then. The accounts file needs no signal.

This process has no threads and does nothing but accept, so that it can fork (ADR 12).
"""

from __future__ import annotations

import bisect
import contextlib
import gc
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Protocol

import paramiko

from apps.dropzone.accounts import AccountsFile
from apps.dropzone.connection import FAILED, STOP, Connection, Zone
from apps.dropzone.door import Door, Refused, Visitor
from apps.dropzone.incoming import INCOMING, remove_drafts
from apps.dropzone.namespace import DELIVERIES
from apps.dropzone.spool import recover
from core.errors import GlaError, KeyUnusable, UnusableInput
from core.settings import DropzoneSettings
from schemas.accounts import ACCOUNTS_NAME, SPOOL

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_KILL_SECONDS = 15.0  # a process that was told to end and does not is killed
_FOLDER_MODE = 0o750
_BACKLOG = 512  # connections that wait to be accepted; a burst must not be refused by the system
_MESSAGE_BYTES = 1024
_OURS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(eq=False)
class _Process:
    """The process of a visitor; `line` leads to it."""

    pid: int
    visitor: Visitor
    line: socket.socket
    kill_at: float = float("inf")


@dataclass(frozen=True)
class _Waiting:
    """A connection of an address that comes often."""

    start_at: float
    client: socket.socket
    address: str


class _Closable(Protocol):
    def close(self) -> None: ...


class Dropzone:
    """The server over `root` (`accounts.json`, `deliveries/`, `incoming/`, `spool/`). Listens once it is made."""

    def __init__(
        self,
        root: Path,
        host_key_path: Path,
        settings: DropzoneSettings,
        read_settings: Callable[[], DropzoneSettings] | None = None,
    ) -> None:
        self._settings = settings
        self._read_settings = read_settings
        self._host_key_path = host_key_path
        self._host_key = _host_key(host_key_path)
        self._zone = Zone(
            root / DELIVERIES, root / INCOMING, root / SPOOL, AccountsFile(root / ACCOUNTS_NAME), settings
        )
        for folder in (root, self._zone.deliveries, self._zone.incoming, self._zone.spool):
            folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        self._door = Door(settings)
        self._processes: list[_Process] = []
        self._waiting: list[_Waiting] = []  # by the time at which they begin
        self._signals: list[int] = []
        self._stopping = False
        self._own: list[_Closable] = []  # what no process of a connection keeps
        self._tidy()
        self._listener = _listener(settings.host, settings.port)

    @property
    def port(self) -> int:
        """Where it listens; useful if the settings say 0."""
        return int(self._listener.getsockname()[1])

    def run(self, ready: Callable[[int], None]) -> None:
        """Serve until a signal says stop. For a program's main thread, while there is no other."""
        woken, wake = socket.socketpair()
        with selectors.DefaultSelector() as self._selector, woken, wake, _signals(self._signals.append, wake):
            self._own = [self._selector, self._listener, woken, wake]
            self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(_MESSAGE_BYTES))
            self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
            gc.collect()
            gc.freeze()  # what is here now stays shared with the processes that are forked
            ready(self.port)
            while not (self._stopping and not self._processes):
                for key, _ in self._selector.select(self._pause()):
                    key.data()
                self._begin_waiting()
                while self._signals:
                    self._obey(self._signals.pop(0))
                self._kill_what_hangs()

    def _obey(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._reload()
            return
        if not self._stopping:
            self._selector.unregister(self._listener)
            self._listener.close()
            for waiting in self._waiting:
                waiting.client.close()
            self._waiting.clear()
        for process in self._processes:
            self._tell(process, "the server stops" if self._stopping else STOP)
            process.kill_at = time.monotonic() + _KILL_SECONDS + (0 if self._stopping else self._settings.stop_seconds)
        self._stopping = True

    def _reload(self) -> None:
        try:
            self._host_key = _host_key(self._host_key_path)
        except KeyUnusable as error:
            logger.error("the host key stays as it was: %s", error)  # noqa: TRY400
        if self._read_settings is not None:
            try:
                self._take(self._read_settings())
            except GlaError as error:
                logger.error("the settings stay as they were: %s", error)  # noqa: TRY400
        self._tidy_if_possible()
        logger.info("reloaded")

    def _take(self, settings: DropzoneSettings) -> None:
        """Limits count at once for who comes, and for the server itself; a connection keeps those it began with."""
        place = {"host": self._settings.host, "port": self._settings.port}
        self._settings = settings.model_copy(update=place)
        self._zone = replace(self._zone, settings=self._settings)
        self._door.obey(self._settings)

    def _tidy(self) -> None:
        """What processes left behind that were killed."""
        remove_drafts(self._zone.incoming)
        recover(self._zone.spool)

    def _tidy_if_possible(self) -> None:
        try:
            self._tidy()
        except OSError as error:
            logger.error("what a process left behind stays for the next time: %s", type(error).__name__)  # noqa: TRY400

    def _accept(self) -> None:
        try:
            client, (address, *_) = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # it left before we came
            return
        except OSError as error:  # no descriptors left: leave the others time to end
            logger.error("cannot accept a connection: %s", type(error).__name__)  # noqa: TRY400
            time.sleep(_TICK_SECONDS)
            return
        try:
            start_at = self._door.come(str(address), time.monotonic())
        except Refused as refused:
            client.close()
            if refused.line:
                logger.warning("connection refused: address=%s: %s", address, refused.line)
            return
        bisect.insort(self._waiting, _Waiting(start_at, client, str(address)), key=lambda each: each.start_at)

    def _begin_waiting(self) -> None:
        while self._waiting and self._waiting[0].start_at <= time.monotonic():
            waiting = self._waiting.pop(0)
            with waiting.client as client:  # the process has its own
                self._begin(client, waiting.address)

    def _begin(self, client: socket.socket, address: str) -> None:
        visitor = self._door.begin(address, time.monotonic())
        if (oldest := self._door.too_many(visitor)) is not None:
            self._end(oldest, "it had not logged in, and makes room for others")
        try:
            self._fork(client, visitor)
        except OSError as error:
            self._door.leave(visitor)
            logger.error("connection refused: address=%s: %s", address, type(error).__name__)  # noqa: TRY400

    def _pause(self) -> float:
        """How long to wait for something to happen."""
        if not self._waiting:
            return _TICK_SECONDS
        return min(_TICK_SECONDS, max(0.0, self._waiting[0].start_at - time.monotonic()))

    def _fork(self, client: socket.socket, visitor: Visitor) -> None:
        self._zone.accounts.read()  # so that not every process has to parse it
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._become(client, visitor, theirs)
        theirs.close()
        process = _Process(pid, visitor, ours)
        self._processes.append(process)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(process))

    def _become(self, client: socket.socket, visitor: Visitor, line: socket.socket) -> None:
        """The process of one connection; it never returns."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _OURS:
                signal.signal(number, signal.SIG_IGN)  # the server is told, and tells us
            others = (waiting.client for waiting in self._waiting)
            for each in [*self._own, *others, *(process.line for process in self._processes)]:
                each.close()
            Connection(client, visitor.address, line, self._zone, self._host_key).run()
            status = 0
        except Exception as error:  # noqa: BLE001 - nothing of a stranger's doing is shown
            logger.error("connection ended: address=%s: %s", visitor.address, type(error).__name__)  # noqa: TRY400
        finally:
            logging.shutdown()
            os._exit(status)

    def _hear(self, process: _Process) -> None:
        """What a process says; nothing when it has ended."""
        try:
            word = process.line.recv(_MESSAGE_BYTES)
        except ConnectionResetError:
            word = b""
        visitor = process.visitor
        if not word:
            self._bury(process)
        elif word == FAILED:
            if seconds := self._door.fail(visitor, time.monotonic()):
                logger.warning("address=%s is locked out for %.0f s: too many logins failed", visitor.address, seconds)
        elif reason := self._door.enter(visitor, word[1:].decode()):
            self._end(visitor, reason)

    def _end(self, visitor: Visitor, reason: str) -> None:
        visitor.leaving = True
        for process in self._processes:
            if process.visitor is visitor:
                self._tell(process, reason)
                process.kill_at = time.monotonic() + _KILL_SECONDS

    @staticmethod
    def _tell(process: _Process, word: str) -> None:
        with contextlib.suppress(OSError):  # it ended just now
            process.line.send(word.encode(), socket.MSG_DONTWAIT)

    def _bury(self, process: _Process) -> None:
        self._selector.unregister(process.line)
        process.line.close()
        self._processes.remove(process)
        self._door.leave(process.visitor)
        _, status = os.waitpid(process.pid, 0)
        if status != 0:
            code = os.waitstatus_to_exitcode(status)
            logger.error("the process of address=%s ended badly (%d)", process.visitor.address, code)
            self._tidy_if_possible()

    def _kill_what_hangs(self) -> None:
        now = time.monotonic()
        for process in self._processes:
            if now > process.kill_at:
                os.kill(process.pid, signal.SIGKILL)  # its line ends, and it is buried


@contextlib.contextmanager
def _signals(tell: Callable[[int], None], wake: socket.socket) -> Iterator[None]:
    """Ours are told, and end a `select` that waits; those of before are back afterwards."""

    def handle(number: int, _: FrameType | None) -> None:
        tell(number)

    wake.setblocking(False)
    before = {number: signal.signal(number, handle) for number in _OURS}
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)


def serve(
    root: Path,
    host_key_path: Path,
    settings: DropzoneSettings,
    ready: Callable[[int], None] = lambda _: None,
    read_settings: Callable[[], DropzoneSettings] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; call `ready` with the port once it listens. For a program's main thread.

    `read_settings` is asked at SIGHUP, and raises an error of ours if they cannot be used; host and port stay.
    """
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it writes a trace for whatever a stranger sends
    Dropzone(root, host_key_path, settings, read_settings).run(ready)


def _host_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except Exception as error:  # noqa: BLE001 - paramiko lets many kinds through, and none may show a key
        reason = type(error).__name__
    raise KeyUnusable(f"the drop zone's host key cannot be used ({reason}): restore it from the backup of our keys")


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        listener.setblocking(False)  # who leaves before it is accepted must not stop us
        return listener
    except OSError as error:
        reason = type(error).__name__
    raise UnusableInput(f"the drop zone cannot listen on {host} port {port} ({reason}): choose another port")
