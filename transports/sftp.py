"""A destination that is someone's SFTP server. `transports.ssh` connects; here are files and folders.

Nothing is retried here. A connection that is lost or stalls ends the transport; the caller starts a new attempt.
"""

from __future__ import annotations

import errno
import functools
import stat as modes
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import paramiko

from core.errors import DestinationRefused, GlaError
from transports.base import Closing, Receipt, Stat, checked_segments, kept_bytes
from transports.outgoing import Outgoing
from transports.pace import Pace
from transports.pipelined import PipelinedClient
from transports.ssh import FOREIGN, Login, Patience, SshConnection, SshServer, unreachable

_MOST_LEVELS = 4  # of folders in a folder that we remove; what we put there has one

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class SftpDestination:
    """Where and as whom; for `host_key`, `identity_file` and `agent` see `transports.ssh`."""

    host: str
    port: int
    user: str
    root: str  # an existing folder on the server, absolute or relative to the login folder
    host_key: str
    identity_file: Path
    agent: Path | None = None
    bastion: SshServer | None = None  # we log in there with the same key
    connect_seconds: float = 10.0
    stall_seconds: float = 60.0  # silence for so long is a lost connection
    bytes_per_second: float | None = None  # at most, while we send

    def __post_init__(self) -> None:
        _ = self.server  # checks the host key

    @property
    def server(self) -> SshServer:
        return SshServer(self.host, self.port, self.user, self.host_key)


def _border(method: Callable[Concatenate[SftpTransport, _P], _R]) -> Callable[Concatenate[SftpTransport, _P], _R]:
    """Let no foreign error leave; ours is raised after the handler, so that it carries no foreign context."""

    @functools.wraps(method)
    def guarded(self: SftpTransport, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except FOREIGN as error:
            failure = self._translated(error)
        raise failure

    return guarded


class SftpTransport(Closing):
    """Connects when it is made; raises as `SshConnection` does."""

    def __init__(self, destination: SftpDestination) -> None:
        self._destination = destination
        self._where = destination.server
        self._pace = Pace(destination.bytes_per_second)
        self._connection = SshConnection(
            destination.server,
            Login(destination.identity_file, destination.agent),
            Patience(destination.connect_seconds, destination.stall_seconds),
            destination.bastion,
        )
        try:
            self._client = self._open_sftp()
        except BaseException:
            self._connection.close()
            raise

    def put(self, source: Path, name: str) -> Receipt:
        return self._write(source, name, "wx")  # x: it must not exist

    def resume(self, source: Path, name: str) -> Receipt:
        kept = kept_bytes(self, source, name)
        return self._write(source, name, "r+", kept) if kept else self.put(source, name)

    def read(self, name: str, offset: int = 0, size: int | None = None) -> Iterator[bytes]:
        file, blocks = self._open_blocks(name, offset, size)
        try:
            while block := self._next_block(blocks):
                yield block
        finally:
            self._close_file(file)

    @_border
    def rename(self, old: str, new: str) -> None:
        if self.stat(new) is not None:  # servers differ in what they do then
            raise DestinationRefused(f"{self._where}: the new name already exists")
        self._client.rename(self._path(old), self._path(new))

    @_border
    def stat(self, name: str) -> Stat | None:
        try:
            found = self._client.lstat(self._path(name))
        except FileNotFoundError:
            return None
        directory = _is_directory(found)
        return Stat(0 if directory else found.st_size or 0, directory)

    @_border
    def list(self, name: str) -> list[str]:
        return sorted(self._client.listdir(self._path(name)))

    @_border
    def delete(self, name: str) -> None:
        path = self._path(name)
        try:
            found = self._client.lstat(path)
        except FileNotFoundError:
            return
        self._delete(path, found)

    @_border
    def make_directory(self, name: str) -> None:
        path = self._destination.root
        for segment in checked_segments(name):
            path = f"{path.rstrip('/')}/{segment}"
            if not self._is_directory(path):
                self._make(path)

    def close(self) -> None:
        """End the connection. Never raises."""
        self._connection.close()

    @_border
    def _open_sftp(self) -> PipelinedClient:
        return PipelinedClient(self._connection.open_sftp())

    @_border
    def _write(self, source: Path, name: str, mode: str, kept: int = 0) -> Receipt:
        position = 0
        waiting: deque[int] = deque()
        with Outgoing(source, name) as outgoing, self._client.open(self._path(name), mode) as file:
            for block in outgoing.blocks():
                new = block[max(kept - position, 0) :]
                self._pace.take(len(new))
                self._client.write_block(file, max(position, kept), new, waiting)
                position += len(block)
            self._client.finish_writes(file, waiting)
        return Receipt(name, outgoing.size, outgoing.sha256)

    @_border
    def _open_blocks(self, name: str, offset: int, size: int | None) -> tuple[paramiko.SFTPFile, Iterator[bytes]]:
        file = self._client.open(self._path(name), "r")
        end = file.stat().st_size or 0
        return file, self._client.read_blocks(file, offset, end if size is None else min(end, offset + size))

    @_border
    def _next_block(self, blocks: Iterator[bytes]) -> bytes:
        return next(blocks, b"")

    @_border
    def _close_file(self, file: paramiko.SFTPFile) -> None:
        self._client.close_file(file)

    def _delete(self, path: str, found: paramiko.SFTPAttributes, levels: int = _MOST_LEVELS) -> None:
        if not _is_directory(found):
            self._client.remove(path)
            return
        if levels == 0:
            raise DestinationRefused(f"{self._where}: there are too many folders in each other to remove them")
        for entry in self._client.listdir_attr(path):
            self._delete(f"{path}/{entry.filename}", entry, levels - 1)
        self._client.rmdir(path)

    def _make(self, path: str) -> None:
        try:
            self._client.mkdir(path)
        except OSError:
            if not self._is_directory(path):  # else another delivery made it just before
                raise

    def _is_directory(self, path: str) -> bool:
        try:
            return _is_directory(self._client.stat(path))
        except FileNotFoundError:
            return False

    def _path(self, name: str) -> str:
        return "/".join([self._destination.root.rstrip("/"), *checked_segments(name)])

    def _translated(self, error: Exception) -> GlaError:
        """Refused if the server said so and still answers; else the connection is lost, and this transport ends."""
        answered = isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionError)
        if not answered or not self._connection.is_active():
            self._connection.close()
            return unreachable(self._where, error)
        known = isinstance(error, OSError) and error.errno in {errno.ENOENT, errno.EACCES}
        why = type(error).__name__ if known else "Failure; it may be full"
        return DestinationRefused(
            f"{self._where} refused ({why}): check the folder, its permissions and its free space"
        )


def _is_directory(found: paramiko.SFTPAttributes) -> bool:
    return modes.S_ISDIR(found.st_mode or 0)
