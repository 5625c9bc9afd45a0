"""Listens, lets in, and ends what is idle, revoked or too slow to log in. A thread for each connection.

>>> serve(root, host_key_path, settings)  # doctest: +SKIP
until SIGTERM or SIGINT; or `with Dropzone(...) as zone` in a program that goes on by itself.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko

from apps.dropzone.accounts import AccountsFile
from apps.dropzone.incoming import INCOMING, Limits, remove_drafts
from apps.dropzone.login import Login
from apps.dropzone.namespace import DELIVERIES
from apps.dropzone.sftp import RecipientFiles, ZoneSftp
from apps.dropzone.spool import recover
from core.errors import KeyUnusable, UnusableInput
from core.settings import DropzoneSettings
from core.ssh import SSH_CIPHERS, SSH_KEY_EXCHANGE, SSH_MACS
from schemas.accounts import ACCOUNTS_NAME

logger = logging.getLogger(__name__)

SPOOL = "spool"
_TICK_SECONDS = 0.5  # a revoked key loses its open connection after at most this, and the time to close it
_LOGIN_SECONDS = 30.0
_STOP_SECONDS = 10.0
_FOLDER_MODE = 0o750


@dataclass(eq=False)
class _Connection:
    transport: paramiko.Transport
    login: Login
    since: float = field(default_factory=time.monotonic)

    def reason_to_end(self, idle_seconds: float) -> str | None:
        now = time.monotonic()
        if not self.transport.is_authenticated():
            return "not logged in in time" if now - self.since > _LOGIN_SECONDS else None
        if not self.login.still_allowed():
            return "its key is no longer registered"
        return "idle" if now - self.login.last_activity > idle_seconds else None


class Dropzone:
    """The server over `root` (`accounts.json`, `deliveries/`, `incoming/`, `spool/`), as a context manager."""

    def __init__(self, root: Path, host_key_path: Path, settings: DropzoneSettings) -> None:
        self._settings = settings
        self._host_key = _host_key(host_key_path)
        self._deliveries = root / DELIVERIES
        self._incoming = root / INCOMING
        self._spool = root / SPOOL
        self._accounts = AccountsFile(root / ACCOUNTS_NAME)
        self._connections: list[_Connection] = []
        self._stopping = threading.Event()
        for folder in (root, self._deliveries, self._incoming, self._spool):
            folder.mkdir(parents=True, exist_ok=True, mode=_FOLDER_MODE)
        remove_drafts(self._incoming)
        recover(self._spool)
        self._listener = _listener(settings.host, settings.port)
        self._listener.settimeout(_TICK_SECONDS)
        self._thread = threading.Thread(target=self._run, name="dropzone")

    @property
    def port(self) -> int:
        """Where it listens; useful if the settings say 0."""
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):  # wakes `accept`; it may be closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _run(self) -> None:
        tick = time.monotonic()
        try:
            while not self._stopping.is_set():
                self._accept()
                if time.monotonic() >= tick:
                    self._end_what_must()
                    tick = time.monotonic() + _TICK_SECONDS
        finally:
            self._listener.close()
            for connection in self._connections:
                connection.transport.close()
            for connection in self._connections:
                connection.login.session_over.wait(_STOP_SECONDS)

    def _accept(self) -> None:
        try:
            client, address = self._listener.accept()
        except TimeoutError:
            return
        except OSError as error:  # no descriptors left: leave the others time to end
            if self._stopping.is_set():
                return
            logger.error("cannot accept a connection: %s", type(error).__name__)  # noqa: TRY400
            self._stopping.wait(_TICK_SECONDS)
            return
        if len(self._connections) >= self._settings.max_connections:
            logger.warning("connection refused: address=%s: there are too many", address[0])
            client.close()
            return
        try:
            self._begin(client, str(address[0]))
        except Exception as error:  # noqa: BLE001 - one bad connection must not end the server
            logger.error("connection refused: address=%s: %s", address[0], type(error).__name__)  # noqa: TRY400
            client.close()

    def _begin(self, client: socket.socket, address: str) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport = paramiko.Transport(client)
        transport.local_version = "SSH-2.0-gla"
        options = transport.get_security_options()
        options.ciphers, options.digests, options.kex = SSH_CIPHERS, SSH_MACS, SSH_KEY_EXCHANGE
        transport.add_server_key(self._host_key)
        folders = {"deliveries": self._deliveries, "incoming": self._incoming, "spool": self._spool}
        limits = Limits(self._settings.upload_bytes, self._settings.upload_files)
        transport.set_subsystem_handler("sftp", ZoneSftp, RecipientFiles, **folders, limits=limits)
        login = Login(self._accounts, address)
        transport.start_server(event=threading.Event(), server=login)  # with an event it does not wait here
        self._connections.append(_Connection(transport, login))

    def _end_what_must(self) -> None:
        self._connections = [each for each in self._connections if each.transport.is_active()]
        for connection in self._connections:
            reason = connection.reason_to_end(self._settings.idle_seconds)
            if reason is not None:
                logger.info("connection ended: address=%s: %s", connection.login.address, reason)
                connection.transport.close()


def serve(
    root: Path, host_key_path: Path, settings: DropzoneSettings, ready: Callable[[int], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; call `ready` with the port once it listens. For a program's main thread."""
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # it writes a trace for whatever a stranger sends
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Dropzone(root, host_key_path, settings) as zone:
        if ready is not None:
            ready(zone.port)
        stop.wait()


def _host_key(path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except Exception as error:  # noqa: BLE001 - paramiko lets many kinds through, and none may show a key
        reason = type(error).__name__
    raise KeyUnusable(f"the drop zone's host key cannot be used ({reason}): restore it from the backup of our keys")


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        reason = type(error).__name__
    raise UnusableInput(f"the drop zone cannot listen on {host} port {port} ({reason}): choose another port")
