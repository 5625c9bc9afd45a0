"""One connection, in a process of its own: what a client does to it, it does to nobody else.

Two threads of paramiko serve the client. The main thread watches over them: it ends a connection that is idle, lasts
too long, has not logged in in time or is no longer allowed, and does what the server says over `line`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from paramiko.common import MSG_CHANNEL_DATA

from apps.dropzone.accounts import AccountsFile
from apps.dropzone.incoming import Limits
from apps.dropzone.login import Login
from apps.dropzone.sftp import RecipientFiles, ZoneSftp
from core.settings import DropzoneSettings
from core.ssh import SSH_CIPHERS, SSH_FAST_CIPHERS, SSH_KEY_EXCHANGE, SSH_MACS
from core.ssh_packets import Packets

logger = logging.getLogger(__name__)

STOP = "stop"  # finish what is under way; any other word from the server is the reason to end at once
FAILED = b"-"  # what we tell it: nobody logged in, and somebody tried; "+" and a name: who logged in
_TICK_SECONDS = 0.5  # a revoked key loses its open connection after at most this, and the time to close it
_PAUSE_SECONDS = 1.0  # without a request and without an open file nothing is under way
_CLOSE_SECONDS = 10.0
_MESSAGE_BYTES = 1024


@dataclass(frozen=True)
class Zone:
    """What every connection of a server has in common."""

    deliveries: Path
    incoming: Path
    spool: Path
    accounts: AccountsFile
    settings: DropzoneSettings


class Connection:
    """Serve the client until it is over. `line` leads to the server; its end is the end of the server."""

    def __init__(
        self, client: socket.socket, address: str, line: socket.socket, zone: Zone, host_key: paramiko.PKey
    ) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line = line
        self._settings = zone.settings
        self._login = Login(zone.accounts, address)
        self._since = time.monotonic()
        self._stop_at: float | None = None
        self._over = os.eventfd(0)
        self._transport = _Transport(client, self._login, self._over, line)
        self._transport.banner_timeout = self._transport.handshake_timeout = zone.settings.login_seconds
        self._transport.add_server_key(host_key)
        self._transport.set_subsystem_handler(
            "sftp",
            ZoneSftp,
            RecipientFiles,
            deliveries=zone.deliveries,
            incoming=zone.incoming,
            spool=zone.spool,
            limits=Limits.of(zone.settings),
        )

    def run(self) -> None:
        """Returns when the connection is closed and what was fetched is recorded."""
        self._transport.start_server(event=threading.Event(), server=self._login)  # with an event it does not wait
        told = reason = None
        while self._transport.is_active() and reason is None:
            ready, _, _ = select.select([self._line.fileno(), self._over], [], [], _TICK_SECONDS)
            told = self._told() if self._line.fileno() in ready else None
            reason = told or self._reason_to_end()
        self._transport.close()
        if not self._login.session_over.wait(_CLOSE_SECONDS):
            logger.error("connection of address=%s: its session does not end", self._login.address)
        self._report(reason, told=told is not None)

    def _told(self) -> str | None:
        try:
            word = self._line.recv(_MESSAGE_BYTES).decode()
        except OSError:
            word = ""
        if word == STOP:
            self._stop_at = time.monotonic() + self._settings.stop_seconds
            return None
        return word or "the server is gone"

    def _reason_to_end(self) -> str | None:
        now = time.monotonic()
        if not self._transport.is_authenticated():
            return self._reason_before_login(now)
        if (reason := self._login.reason_to_end()) is not None:
            return reason
        if now - self._login.last_activity > self._settings.idle_seconds:
            return "idle"
        if now - self._since > self._settings.session_seconds:
            return "it has lasted too long"
        if self._stop_at is not None and (now > self._stop_at or self._pauses(now)):
            return "the server stops"
        return None

    def _reason_before_login(self, now: float) -> str | None:
        if now - self._since > self._settings.login_seconds:
            return "not logged in in time"
        return "the server stops" if self._stop_at is not None else None

    def _pauses(self, now: float) -> bool:
        return not self._login.busy() and now - self._login.last_activity > _PAUSE_SECONDS

    def _report(self, reason: str | None, *, told: bool) -> None:
        """One line for what ended before its time, or was no client of ours. `told`: the server said so."""
        address, refusals = self._login.address, self._login.refusals
        inside = self._transport.somebody_logged_in
        if not inside and refusals:
            more = f" (and {len(refusals) - 1} more)" if refusals[1:] else ""
            logger.warning("login refused: %s%s", refusals[0], more)
            with contextlib.suppress(OSError):  # the server is gone
                self._line.send(FAILED)
        elif reason is not None:
            expected = self._stop_at is not None or (inside and not told)
            logger.log(
                logging.INFO if expected else logging.WARNING, "connection ended: address=%s: %s", address, reason
            )
        elif not inside and self._transport.packetizer.heard:
            kind = type(self._transport.saved_exception).__name__
            logger.warning("connection ended: address=%s: it left before it logged in (%s)", address, kind)
        elif not inside:  # it asked whether we are there
            logger.info("connection ended: address=%s: it said nothing", address)


class _Transport(paramiko.Transport):
    """paramiko's, which says when somebody logged in and when it is over, and holds the client to our window."""

    packetizer: Packets

    def __init__(self, client: socket.socket, login: Login, over: int, line: socket.socket) -> None:
        super().__init__(client, packetizer_class=Packets)
        self._login_of = login
        self._over = over
        self._line_to_server = line
        self.somebody_logged_in = False
        self.local_version = "SSH-2.0-gla"
        options = self.get_security_options()
        options.ciphers, options.digests, options.kex = SSH_CIPHERS, SSH_MACS, SSH_KEY_EXCHANGE
        table: dict[int, Any] = self._channel_handler_table  # type: ignore[has-type]
        self._channel_handler_table = {**table, MSG_CHANNEL_DATA: _feed}

    def run(self) -> None:
        try:
            super().run()
        finally:
            os.eventfd_write(self._over, 1)

    def _send_kex_init(self) -> None:
        """The client's order decides. OpenSSH's has GCM since 2013 and asks for it last, so it is offered no other:
        what it asks for first costs twice as much here.
        """
        if self.remote_version.startswith("SSH-2.0-OpenSSH_"):
            self.get_security_options().ciphers = SSH_FAST_CIPHERS
        super()._send_kex_init()  # type: ignore[misc]

    def _auth_trigger(self) -> None:
        super()._auth_trigger()  # type: ignore[misc]
        self.somebody_logged_in = True
        if self._login_of.offer is not None:
            self._line_to_server.send(b"+" + self._login_of.offer.name.encode())


def _feed(channel: Any, message: paramiko.Message) -> None:
    """Data from the client. paramiko would keep whatever is sent; a client that ignores the window ends here."""
    if len(channel.in_buffer) > channel.in_window_size:
        raise paramiko.SSHException("more than the window allows")
    channel._feed(message)  # noqa: SLF001
