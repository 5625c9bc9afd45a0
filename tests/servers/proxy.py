"""A TCP wire that can be cut: after so many bytes, at once, or by carrying nothing any more."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset and drops what is not sent
_TICK_SECONDS = 0.05  # after which a thread that waits looks whether it still should


class CuttableProxy:
    """Listens on `port` and carries bytes to `target` here: a port, or the path of a Unix socket.

    A connection breaks after `every` bytes of answers.
    """

    def __init__(self, target: int | Path, every: int | None = None) -> None:
        self._target = target
        self._every = every
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._sockets: list[socket.socket] = []
        self._left: int | None = None
        self.answered = 0  # bytes of answers so far, over all connections
        self._pause_at: int | None = None
        self._stalled = threading.Event()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]

    def cut_after(self, sent_bytes: int) -> None:
        """Reset the connection once so many more bytes went towards the server."""
        self._left = sent_bytes

    def stall(self) -> None:
        """Keep the connection open and carry nothing any more."""
        self._stalled.set()

    def pause_after(self, answers: int) -> None:
        """Stall as soon as a connection carried so many bytes of answers."""
        self._pause_at = answers

    def resume(self) -> None:
        """Carry again after a stall."""
        self._pause_at = None
        self._stalled.clear()

    def cut(self) -> None:
        """Reset every connection now."""
        self._reset(*self._sockets)

    def _reset(self, *ends: socket.socket) -> None:
        for end in ends:
            with contextlib.suppress(OSError):  # closed already
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._closed.set()
        self._stalled.clear()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            end.close()
        for thread in self._threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = self._connect()
            self._sockets += [client, server]
            for end in (client, server):
                end.settimeout(_TICK_SECONDS)
            for source, target, upward in [(client, server, True), (server, client, False)]:
                thread = threading.Thread(target=self._carry, args=(source, target, upward))
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target))
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self._target))
        return server

    def _send(self, target: socket.socket, block: bytes) -> None:
        """All of it, however long its reader takes: a time limit on `sendall` would not tell how much went."""
        left = memoryview(block)
        while left and not self._closed.is_set():
            with contextlib.suppress(TimeoutError):
                left = left[target.send(left) :]

    def _carry(self, source: socket.socket, target: socket.socket, upward: bool) -> None:
        answered = 0
        while not self._closed.is_set():
            try:
                if self._stalled.is_set():
                    self._closed.wait(_TICK_SECONDS)
                    continue
                try:
                    block = source.recv(65536)
                except TimeoutError:
                    continue
                if not block:
                    target.shutdown(socket.SHUT_WR)
                    return
                room = len(block) if upward or self._every is None else self._every - answered
                self._send(target, block[:room])
            except OSError:  # one side broke it off: so does the wire
                self._reset(source, target)
                return
            answered += 0 if upward else len(block)
            self.answered += 0 if upward else len(block)
            if self._pause_at is not None and answered > self._pause_at:
                self.stall()
            if self._every is not None and answered >= self._every:
                self._reset(source, target)
                return
            if upward and self._left is not None:
                self._left -= len(block)
                if self._left <= 0:
                    self.cut()
