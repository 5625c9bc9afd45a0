"""A destination that is someone's SFTP server. Its host key is pinned: no first use, no known_hosts file.

Nothing is retried here. A connection that is lost or stalls ends the transport; the caller starts a new attempt.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import socket
import stat as modes
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

import paramiko

from core.errors import DestinationRefused, DestinationUnreachable, GlaError, HostKeyMismatch, UnusableInput
from core.ssh import SSH_CIPHERS, SSH_HOST_KEYS, SSH_KEY_EXCHANGE, SSH_MACS
from schemas.accounts import blob_fingerprint, key_blob
from transports.base import BLOCK_BYTES, Receipt, Stat, checked_segments, opened
from transports.pipelined import PipelinedClient

_WINDOW_BYTES = 8 * 1024 * 1024  # paramiko's 2 MiB halve the speed of reading

_P = ParamSpec("_P")
_R = TypeVar("_R")


@dataclass(frozen=True)
class SftpDestination:
    """Where and as whom. `host_key` is `TYPE BASE64` as agreed with the owner of the server."""

    host: str
    port: int
    user: str
    root: str  # an existing folder on the server, absolute or relative to the login folder
    host_key: str
    identity_file: Path  # our private SSH key, without passphrase
    connect_seconds: float = 10.0
    stall_seconds: float = 60.0  # silence for so long is a lost connection

    def __post_init__(self) -> None:
        try:
            key_blob(self.host_key)
        except ValueError as error:
            reason = str(error)
        else:
            return
        raise UnusableInput(f"the host key of {self.host}: {reason}")


def _border(method: Callable[Concatenate[SftpTransport, _P], _R]) -> Callable[Concatenate[SftpTransport, _P], _R]:
    """Let no foreign error leave; ours is raised after the handler, so that it carries no foreign context."""

    @functools.wraps(method)
    def guarded(self: SftpTransport, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(self, *args, **kwargs)
        except (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError) as error:
            failure = self._translated(error)
        raise failure

    return guarded


class SftpTransport:
    """Connects when it is made; `HostKeyMismatch`, `DestinationUnreachable` or `DestinationRefused` if it cannot."""

    def __init__(self, destination: SftpDestination) -> None:
        self._destination = destination
        self._where = f"{destination.host}:{destination.port}"
        identity = self._identity()
        self._transport = self._connect()
        try:
            self._log_in(identity)
            self._client = self._open_sftp()
        except BaseException:
            self._transport.close()
            raise

    @_border
    def put(self, source: Path, name: str) -> Receipt:
        path = self._path(name)
        digest = hashlib.sha256()
        size = 0
        waiting: deque[int] = deque()
        with opened(source, name) as reader, self._client.open(path, "wx") as file:  # x: it must not exist
            while block := reader.read(BLOCK_BYTES):
                self._client.write_block(file, size, block, waiting)
                digest.update(block)
                size += len(block)
            self._client.finish_writes(file, waiting)
        return Receipt(name, size, digest.hexdigest())

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
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    # Connecting

    def _identity(self) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(self._destination.identity_file)
        except Exception as error:  # noqa: BLE001 - paramiko lets many kinds through, and none may show a key
            reason = type(error).__name__
        raise DestinationRefused(f"{self._where}: our identity file cannot be used ({reason}): check its path and form")

    @_border
    def _connect(self) -> paramiko.Transport:
        wanted = self._destination
        connection = socket.create_connection((wanted.host, wanted.port), timeout=wanted.connect_seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # paramiko tries forever to write into a connection whose other end is gone without a word.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(wanted.stall_seconds * 1000))
        transport = paramiko.Transport(connection, default_window_size=_WINDOW_BYTES)
        try:
            _restrict(transport, wanted)
            transport.start_client(timeout=wanted.connect_seconds)
            self._check_host_key(transport.get_remote_server_key().asbytes())
        except BaseException:
            transport.close()
            raise
        return transport

    def _check_host_key(self, found: bytes) -> None:
        pinned = key_blob(self._destination.host_key)
        if found != pinned:
            raise HostKeyMismatch(
                f"{self._where} shows host key {blob_fingerprint(found)}, not the agreed {blob_fingerprint(pinned)}: "
                "ask its owner, and register the new key only if the owner confirms it"
            )

    @_border
    def _log_in(self, identity: paramiko.PKey) -> None:
        try:
            self._transport.auth_publickey(self._destination.user, identity)
        except paramiko.AuthenticationException:
            refused = self._transport.is_active()  # a cut connection is reported as a failed login too
        else:
            return
        if refused:
            raise DestinationRefused(
                f"{self._where} does not accept our key for this user: ask its owner to register it"
            )
        raise DestinationUnreachable(f"{self._where} ended the connection during the login: run again")

    @_border
    def _open_sftp(self) -> PipelinedClient:
        channel = self._transport.open_session(timeout=self._destination.connect_seconds)
        channel.settimeout(self._destination.stall_seconds)
        channel.invoke_subsystem("sftp")
        return PipelinedClient(channel)

    # Files and folders

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

    def _delete(self, path: str, found: paramiko.SFTPAttributes) -> None:
        if not _is_directory(found):
            self._client.remove(path)
            return
        for entry in self._client.listdir_attr(path):
            self._delete(f"{path}/{entry.filename}", entry)
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
        reason = type(error).__name__
        transport = getattr(self, "_transport", None)
        answered = isinstance(error, OSError) and not isinstance(error, TimeoutError | ConnectionError)
        if transport is None or not transport.is_active() or not answered:
            if transport is not None:
                transport.close()
            return DestinationUnreachable(
                f"{self._where} cannot be reached or ended the connection ({reason}): run again"
            )
        known = isinstance(error, OSError) and error.errno in {errno.ENOENT, errno.EACCES}
        why = reason if known else "Failure; it may be full"
        return DestinationRefused(
            f"{self._where} refused ({why}): check the folder, its permissions and its free space"
        )


def _restrict(transport: paramiko.Transport, wanted: SftpDestination) -> None:
    options = transport.get_security_options()
    options.ciphers = SSH_CIPHERS
    options.digests = SSH_MACS
    options.kex = SSH_KEY_EXCHANGE
    pinned = wanted.host_key.split(" ")[0].removeprefix("ssh-")  # `rsa` signs as rsa-sha2-*
    options.key_types = sorted(SSH_HOST_KEYS, key=lambda name: not name.removeprefix("ssh-").startswith(pinned))
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = wanted.connect_seconds


def _is_directory(found: paramiko.SFTPAttributes) -> bool:
    return modes.S_ISDIR(found.st_mode or 0)
