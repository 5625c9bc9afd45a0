"""An SFTP client that keeps many requests under way, and checks the answer to every one of them.

Why not paramiko's own `SFTPFile`: its pipelined writes drop the answers to the last requests, its prefetch runs in a
thread that dies with a trace when the connection is cut, and its 32 KiB requests are split over two SSH packets each.
Measured over loopback: 190 MB/s became 320 MB/s for writing, 5 to 90 MB/s became 290 for reading. What is written goes
to the wire with `core.ssh_packets`, which needs a third less of the processor (docs/performance.md).

Like `transports.ssh` it uses internals of paramiko; the lock pins its version. Larger requests, and `fsync`, are
used only with a server that offers them (OpenSSH: PROTOCOL, sections 4.6 and 4.8).
"""

from __future__ import annotations

import struct
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import paramiko
from paramiko import sftp
from paramiko.sftp import int64

from core.ssh_packets import Received, send

# One request with its header fits one SSH packet of 32 KiB, the least that every server accepts.
_PORTABLE_BYTES = 32_000
_MOST_BYTES = 261_120  # what OpenSSH offers: 256 KiB less 1 KiB for the header
_UNDER_WAY_BYTES = 4 * 1024 * 1024  # fills a link of 1 Gbit/s with 30 ms of delay
_HEADER_BYTES = 1024  # of a request to write; more than enough
_LONGEST_PACKET = _MOST_BYTES + _HEADER_BYTES  # as OpenSSH's client has it
_SFTP_VERSION = 3
_LISTING_BYTES = 64 * 1024 * 1024  # of one folder, about 100,000 files; a server may go on without end
_ENTRY_BYTES = 512  # what an entry takes beside its text


class _EarlyAnswers:
    """Answers that came before their turn; a server may answer in any order."""

    def __init__(self) -> None:
        self._messages: dict[int, tuple[int, paramiko.Message]] = {}

    def _async_response(self, kind: int, message: paramiko.Message, number: int) -> None:
        self._messages[number] = (kind, message)

    def pop(self, number: int) -> tuple[int, paramiko.Message] | None:
        return self._messages.pop(number, None)

    def clear(self) -> None:
        self._messages.clear()


class PipelinedClient(paramiko.SFTPClient):
    """Raises what paramiko raises: OSError with or without errno, EOFError, SSHException, TimeoutError."""

    if TYPE_CHECKING:
        _lock: threading.Lock
        _expecting: dict[int, object]
        request_number: int

        def _adjust_cwd(self, path: str) -> bytes: ...
        def _async_request(self, owner: object, kind: int, *args: Any) -> int: ...
        def _read_response(self, number: int) -> tuple[int, paramiko.Message]: ...
        def _convert_status(self, message: paramiko.Message) -> None: ...
        def _send_packet(self, kind: int, message: paramiko.Message) -> None: ...
        def _read_packet(self) -> tuple[int, bytes]: ...

    def __init__(self, channel: paramiko.Channel) -> None:
        self._early = _EarlyAnswers()
        self._extensions: set[str] = set()
        self._channel = channel
        self._request_bytes = memoryview(bytearray(_MOST_BYTES + _HEADER_BYTES))
        super().__init__(channel)
        self._read_bytes, self._write_bytes = self._limits()

    def listdir_attr(self, path: str = ".") -> list[paramiko.SFTPAttributes]:
        """As paramiko's, of a folder that has an end; SSHException for one that would fill our memory."""
        _, opened = self._request(sftp.CMD_OPENDIR, self._adjust_cwd(path))
        handle, room = opened.get_binary(), _LISTING_BYTES
        found: list[paramiko.SFTPAttributes] = []
        for answer in self._listed(handle):
            count = answer.get_int()
            room -= len(answer.asbytes()) + (1 + count) * _ENTRY_BYTES
            if room < 0:
                raise paramiko.SSHException("a folder has no end")
            found += [_entry(answer) for _ in range(count)]
        self._request(sftp.CMD_CLOSE, handle)
        return [entry for entry in found if entry.filename not in (".", "..")]

    def read_blocks(self, file: paramiko.SFTPFile, offset: int, end: int) -> Iterator[bytes]:
        """The bytes of an open file from `offset` up to `end`; fewer only if the file is shorter than that."""
        waiting: deque[tuple[int, int, int]] = deque()  # number, offset, length
        while offset < end or waiting:
            while offset < end and len(waiting) * self._read_bytes < _UNDER_WAY_BYTES:
                length = min(self._read_bytes, end - offset)
                waiting.append((self._ask_read(file, offset, length), offset, length))
                offset += length
            number, start, length = waiting.popleft()
            block = self._answered_read(number)
            if block:
                yield block
            if len(block) < length:  # a short answer: go on from there, and forget what was asked beyond it
                for later, _, _ in waiting:
                    self._answered_read(later)
                waiting.clear()
                offset = start + len(block) if block else end

    def close_file(self, file: paramiko.SFTPFile) -> None:
        """Close it, and forget the answers to what was asked but is no longer wanted."""
        file.close()
        self._early.clear()

    def write_block(self, file: paramiko.SFTPFile, offset: int, block: bytes, waiting: deque[int]) -> None:
        """Send `block`; the numbers of requests that are not answered yet stay in `waiting`."""
        view = memoryview(block)
        for start in range(0, len(block), self._write_bytes):
            while len(waiting) * self._write_bytes >= _UNDER_WAY_BYTES:
                self._answer(waiting.popleft())
            waiting.append(self._ask_write(file, offset + start, view[start : start + self._write_bytes]))

    def finish_writes(self, file: paramiko.SFTPFile, waiting: deque[int]) -> None:
        """Wait until everything is written and, if the server can tell, on its disk."""
        while waiting:
            self._answer(waiting.popleft())
        if "fsync@openssh.com" in self._extensions:
            self._request(sftp.CMD_EXTENDED, "fsync@openssh.com", _handle(file))

    def _listed(self, handle: bytes) -> Iterator[paramiko.Message]:
        while True:
            try:
                kind, answer = self._request(sftp.CMD_READDIR, handle)
            except EOFError:
                return
            if kind != sftp.CMD_NAME:
                raise paramiko.SSHException("an answer to a listing holds no names")
            yield answer

    def _request(self, kind: int, *args: Any) -> tuple[int, paramiko.Message]:
        answered, message = super()._request(kind, *args)  # type: ignore[misc]
        return answered, Received(message.get_remainder())

    def _read_all(self, n: int) -> bytes:
        if n > _LONGEST_PACKET:
            raise paramiko.SSHException("an answer is too large")
        return super()._read_all(n)  # type: ignore[misc,no-any-return]

    def _ask_write(self, file: paramiko.SFTPFile, offset: int, data: memoryview) -> int:
        handle = _handle(file)
        with self._lock:
            number, self.request_number = self.request_number, self.request_number + 1
            self._expecting[number] = self._early
        rest = struct.pack(">II", number, len(handle)) + handle + struct.pack(">QI", offset, len(data))
        head = struct.pack(">IB", 1 + len(rest) + len(data), sftp.CMD_WRITE) + rest
        end = len(head) + len(data)
        self._request_bytes[: len(head)] = head
        self._request_bytes[len(head) : end] = data
        for _ in send(self._channel, self._request_bytes[:end]):
            pass
        return number

    def _ask_read(self, file: paramiko.SFTPFile, offset: int, length: int) -> int:
        return self._async_request(self._early, sftp.CMD_READ, _handle(file), int64(offset), length)

    def _answered_read(self, number: int) -> bytes:
        try:
            kind, message = self._answer(number)
        except EOFError:  # the answer to a read beyond the end; a lost connection raises SSHException
            return b""
        if kind != sftp.CMD_DATA:
            raise paramiko.SSHException("an answer to a read holds no data")
        return message.get_string()

    def _answer(self, number: int) -> tuple[int, paramiko.Message]:
        early = self._early.pop(number)
        if early is None:
            return self._read_response(number)
        if early[0] == sftp.CMD_STATUS:
            self._convert_status(early[1])
        return early

    def _send_version(self) -> int:
        """As paramiko's, but it keeps the names of the extensions that the server offers."""
        hello = paramiko.Message()
        hello.add_int(_SFTP_VERSION)
        self._send_packet(sftp.CMD_INIT, hello)
        kind, data = self._read_packet()
        if kind != sftp.CMD_VERSION:
            raise paramiko.SSHException("the server does not speak SFTP")
        answer = paramiko.Message(data)
        version = answer.get_int()
        while len(answer.get_remainder()) > 0:
            self._extensions.add(answer.get_string().decode("ascii", "replace"))
            answer.get_string()
        return version

    def _limits(self) -> tuple[int, int]:
        if "limits@openssh.com" not in self._extensions:
            return _PORTABLE_BYTES, _PORTABLE_BYTES
        _, answer = self._request(sftp.CMD_EXTENDED, "limits@openssh.com")
        answer.get_int64()  # the longest packet
        read, write = answer.get_int64(), answer.get_int64()  # 0: not said
        return min(read or _PORTABLE_BYTES, _MOST_BYTES), min(write or _PORTABLE_BYTES, _MOST_BYTES)


def _entry(answer: paramiko.Message) -> paramiko.SFTPAttributes:
    kind: Any = paramiko.SFTPAttributes
    name, shown = answer.get_text(), answer.get_text()
    return cast("paramiko.SFTPAttributes", kind._from_msg(answer, name, shown))  # noqa: SLF001


def _handle(file: paramiko.SFTPFile) -> bytes:
    return cast("bytes", file.handle)  # the stubs name the server's class
