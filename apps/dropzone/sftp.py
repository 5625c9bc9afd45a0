"""SFTP version 3 (draft-ietf-secsh-filexfer-02), of which only the requests that read, or send us a file, are answered.

The list of what is allowed stands here, not in the parts of paramiko that would serve the rest: its `check-file`, for
one, can be made to loop without end. This module uses internals of `paramiko.SFTPServer`; the lock pins its version.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import paramiko
from paramiko import sftp

from apps.dropzone.incoming import Area, Limits, Receiving, areas
from apps.dropzone.login import Login
from apps.dropzone.namespace import Namespace, Node, segments
from apps.dropzone.reading import READ_BYTES, Reading, Session
from apps.dropzone.spool import SessionSpool
from core.ids import new_id
from core.ssh_packets import Received, send

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

logger = logging.getLogger(__name__)

_ALLOWED = frozenset(
    {
        sftp.CMD_OPEN,
        sftp.CMD_CLOSE,
        sftp.CMD_READ,
        sftp.CMD_WRITE,
        sftp.CMD_SETSTAT,
        sftp.CMD_FSETSTAT,
        sftp.CMD_OPENDIR,
        sftp.CMD_READDIR,
        sftp.CMD_STAT,
        sftp.CMD_LSTAT,
        sftp.CMD_FSTAT,
        sftp.CMD_REALPATH,
    }
)
_MOST_HANDLES = 64  # files, and as many folders; OpenSSH's client has one open, sshfs and rclone a few
_PACKET_BYTES = READ_BYTES + 1024
_DATA = struct.Struct(">IBII")  # an answer with data: its length, kind, request and the length of the data
_LIMITS = "limits@openssh.com"  # OpenSSH's PROTOCOL, section 4.8: lets its client ask for more at once
_SENDING = os.O_WRONLY | os.O_CREAT  # and perhaps O_TRUNC or O_EXCL; a file here is always a new one
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_EXCL

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _or_status(
    method: Callable[Concatenate[RecipientFiles, _P], _R | int],
) -> Callable[Concatenate[RecipientFiles, _P], _R | int]:
    """Whatever goes wrong is a refusal; the client learns no more than that."""

    @functools.wraps(method)
    def guarded(self: RecipientFiles, /, *args: _P.args, **kwargs: _P.kwargs) -> _R | int:
        try:
            return method(self, *args, **kwargs)
        except (FileNotFoundError, NotADirectoryError):
            return sftp.SFTP_NO_SUCH_FILE
        except Exception as error:  # noqa: BLE001
            logger.error("session %s: %s fails with %s", self.session.id, method.__name__, type(error).__name__)  # noqa: TRY400
            return sftp.SFTP_FAILURE

    return guarded


class RecipientFiles(paramiko.SFTPServerInterface):
    """What one session may read, the files of the recipient that logged in, and send: new files into its area."""

    def __init__(self, server: Login, *, deliveries: Path, incoming: Path, spool: Path, limits: Limits) -> None:
        super().__init__(server)
        if server.offer is None:
            raise PermissionError("a channel before the login")
        name = server.offer.name
        self.session = Session(new_id(), name, server.address, server.offer.fingerprint)
        self._login = server
        self._namespace = Namespace(deliveries / name, server.revoked)
        self._areas = areas(incoming, name, limits)
        self._spool = SessionSpool(spool, self.session.id)
        self._open: set[Reading] = set()
        self._receiving: set[Receiving] = set()

    def session_started(self) -> None:
        self._login.session_over.clear()
        self._login.busy = lambda: bool(self._open or self._receiving)
        logger.info("session %s: %s from %s", self.session.id, self.session.recipient, self.session.address)

    def session_ended(self) -> None:
        try:
            while self._receiving:
                self._receiving.pop().drop()
            for reading in list(self._open):
                self.close(reading, by_client=False)
            self._spool.finish()
        finally:
            self._login.session_over.set()
            logger.info("session %s: over", self.session.id)

    @_or_status
    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle | int:  # noqa: ARG002
        if (area := self._area(path)) is not None:
            return self._begin(area, path, flags)
        if flags & _WRITING:
            return sftp.SFTP_PERMISSION_DENIED
        self._spool.ensure()
        reading = Reading(self._namespace.open(path))
        self._open.add(reading)
        return _Handle(self, reading)

    def _begin(self, area: Area, path: str, flags: int) -> paramiko.SFTPHandle | int:
        if flags & ~(os.O_TRUNC | os.O_EXCL) != _SENDING:
            return sftp.SFTP_PERMISSION_DENIED
        try:
            receiving = area.receive(path)
        except (PermissionError, FileExistsError):
            return sftp.SFTP_PERMISSION_DENIED
        self._receiving.add(receiving)
        return _Upload(self, receiving)

    def finish(self, receiving: Receiving) -> None:
        """The client closed a file that it sent: it appears; raises OSError if it cannot."""
        if receiving in self._receiving:  # otherwise the session is over, and it was dropped
            self._receiving.discard(receiving)
            receiving.finish(self.session)
            logger.info("session %s: a file came in", self.session.id)

    def close(self, reading: Reading, *, by_client: bool) -> None:
        """Close and record it; raises OSError if that cannot be recorded."""
        self._open.discard(reading)
        pickup = reading.close(self.session, by_client=by_client)
        if pickup is not None:
            self._spool.append(pickup)

    @_or_status
    def list_folder(self, path: str) -> list[paramiko.SFTPAttributes] | int:
        nodes = (self._area(path) or self._namespace).list(path)
        if not segments(path):
            nodes += [area.find(name) for name, area in self._areas.items() if area.exists]
        return [_attributes(node) for node in nodes]

    @_or_status
    def stat(self, path: str) -> paramiko.SFTPAttributes | int:
        return _attributes(self._find(path))

    @_or_status
    def lstat(self, path: str) -> paramiko.SFTPAttributes | int:
        return _attributes(self._find(path))

    @_or_status
    def chattr(self, path: str, attr: paramiko.SFTPAttributes) -> int:
        """Times and permissions of what was sent are not kept, and that is no failure: many programs set them."""
        sent = self._area(path) is not None and not self._find(path).is_directory and attr.st_size is None
        return sftp.SFTP_OK if sent else sftp.SFTP_PERMISSION_DENIED

    def _find(self, path: str) -> Node:
        return (self._area(path) or self._namespace).find(path)

    def _area(self, path: str) -> Area | None:
        """Where files may be put, if the path leads there."""
        return self._areas.get((segments(path) or ("",))[0])

    def canonicalize(self, path: str) -> str:
        return "/" + "/".join(segments(path))

    def touch(self) -> None:
        self._login.touch()


class _Handle(paramiko.SFTPHandle):
    def __init__(self, files: RecipientFiles, reading: Reading) -> None:
        super().__init__()
        self._files = files
        self.reading = reading

    def stat(self) -> paramiko.SFTPAttributes | int:
        return _attributes(self.reading.node)

    def close(self) -> None:
        """Called when the client closes the file; at the end of a session its readings are closed already."""
        self._files.close(self.reading, by_client=True)


class _Upload(paramiko.SFTPHandle):
    def __init__(self, files: RecipientFiles, receiving: Receiving) -> None:
        super().__init__()
        self._files = files
        self._receiving = receiving

    def write(self, offset: int, data: ReadableBuffer) -> int:
        try:
            self._receiving.write(offset, memoryview(data).cast("B"))
        except OSError as error:
            logger.error("session %s: a file that is sent fails with %s", self._files.session.id, type(error).__name__)  # noqa: TRY400
            return sftp.SFTP_FAILURE
        return sftp.SFTP_OK

    def stat(self) -> paramiko.SFTPAttributes | int:
        return _attributes(self._receiving.node)

    def chattr(self, attr: paramiko.SFTPAttributes) -> int:
        return sftp.SFTP_OK if attr.st_size is None else sftp.SFTP_PERMISSION_DENIED

    def close(self) -> None:
        """Called when the client closes the file, and at the end of a session, when it was dropped already."""
        self._files.finish(self._receiving)


class ZoneSftp(paramiko.SFTPServer):
    """paramiko's server behind the list of allowed requests."""

    server: RecipientFiles
    sock: paramiko.Channel
    _answer = memoryview(b"")  # to a request that reads, once there was one
    _is_gone = False  # the client takes no answers any more

    if TYPE_CHECKING:

        def _send_status(self, number: int, code: int, text: str | None = None) -> None: ...
        def _response(self, number: int, kind: int, *items: object) -> None: ...
        def _send_packet(self, kind: int, message: paramiko.Message) -> None: ...
        def _read_packet(self) -> tuple[int, bytes]: ...

    def _process(self, kind: int, number: int, request: paramiko.Message) -> None:
        self.server.touch()
        message = Received(request.get_remainder())
        if kind == sftp.CMD_EXTENDED:
            self._extended(number, message)
        elif kind not in _ALLOWED:
            self._send_status(number, sftp.SFTP_PERMISSION_DENIED)
        elif max(len(self.file_table), len(self.folder_table)) >= _MOST_HANDLES and kind in {
            sftp.CMD_OPEN,
            sftp.CMD_OPENDIR,
        }:
            self._send_status(number, sftp.SFTP_FAILURE)
        elif kind == sftp.CMD_READ:
            self._read(number, message)
        else:
            super()._process(kind, number, message)  # type: ignore[misc]

    def _read(self, number: int, message: paramiko.Message) -> None:
        handle = self.file_table.get(message.get_binary())
        offset, length = message.get_int64(), min(message.get_int(), READ_BYTES)
        if not isinstance(handle, _Handle):
            self._send_status(number, sftp.SFTP_BAD_MESSAGE, "Invalid handle")
            return
        if not self._answer:
            self._answer = memoryview(bytearray(_DATA.size + READ_BYTES))
        count = handle.reading.read(offset, self._answer[_DATA.size : _DATA.size + length])
        if count == 0:
            self._send_status(number, sftp.SFTP_EOF)
            return
        _DATA.pack_into(self._answer, 0, _DATA.size - 4 + count, sftp.CMD_DATA, number, count)
        self._write_all(self._answer[: _DATA.size + count])

    def _write_all(self, out: ReadableBuffer) -> None:
        try:
            for _ in send(self.sock, memoryview(out)):
                self.server.touch()  # who takes a long time for it is not idle
        except (OSError, EOFError):
            self._is_gone = True
            raise

    def _extended(self, number: int, message: paramiko.Message) -> None:
        if message.get_string() != _LIMITS.encode():
            self._send_status(number, sftp.SFTP_OP_UNSUPPORTED)
            return
        limits = (_PACKET_BYTES, READ_BYTES, READ_BYTES, _MOST_HANDLES)
        self._response(number, sftp.CMD_EXTENDED_REPLY, *map(sftp.int64, limits))

    def _read_all(self, n: int) -> bytes:
        if self._is_gone:  # what it had asked for until then is not looked at
            raise EOFError
        if n > _PACKET_BYTES:
            raise sftp.SFTPError("a request is too large")
        return super()._read_all(n)  # type: ignore[misc,no-any-return]

    def _send_server_version(self) -> int:
        """As paramiko's, but it offers what is served here."""
        kind, data = self._read_packet()
        if kind != sftp.CMD_INIT:
            raise sftp.SFTPError("the client does not speak SFTP")
        message = paramiko.Message()
        message.add_int(3)
        message.add_string(_LIMITS)
        message.add_string("1")
        self._send_packet(sftp.CMD_VERSION, message)
        return int.from_bytes(data[:4], "big")

    def _log(self, level: int, msg: Any, *args: Any) -> None:
        """Silent: paramiko writes a line, and a trace, for each request; what matters is logged here."""


def _attributes(node: Node) -> paramiko.SFTPAttributes:
    """Stable and the same for everyone: no owner, no time of access, read-only."""
    attributes = paramiko.SFTPAttributes()
    attributes.filename = node.name
    attributes.st_mode = stat.S_IFDIR | 0o555 if node.is_directory else stat.S_IFREG | 0o444
    attributes.st_size = node.size
    attributes.st_uid = attributes.st_gid = 0
    attributes.st_atime = attributes.st_mtime = node.modified
    return attributes
