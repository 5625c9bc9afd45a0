"""A connection to someone's SSH server, straight or through a bastion. Every host key on the way is pinned.

We log in with a private key in a file, or with one that an agent holds for us and that never leaves it. The agent's
socket is named where the destination is registered: the environment is not asked.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import paramiko
from paramiko.agent import AgentSSH

from core.errors import DestinationRefused, DestinationUnreachable, HostKeyMismatch, UnusableInput
from core.ssh import SSH_CIPHERS, SSH_HOST_KEYS, SSH_KEY_EXCHANGE, SSH_MACS
from core.ssh_packets import Packets
from schemas.accounts import blob_fingerprint, key_blob

FOREIGN = (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError)  # what paramiko raises when a wire breaks
_T = TypeVar("_T")

_WINDOW_BYTES = 8 * 1024 * 1024  # paramiko's 2 MiB halve the speed of reading
_PROHIBITED = 1  # a channel is administratively prohibited (RFC 4254, section 5.1)
_AGENT_SECONDS = 30.0  # an agent may ask a person first


@dataclass(frozen=True)
class SshServer:
    """Where and as whom. `host_key` is `TYPE BASE64` as agreed with the owner of the server."""

    host: str
    port: int
    user: str
    host_key: str

    def __post_init__(self) -> None:
        try:
            key_blob(self.host_key)
        except ValueError as error:
            reason = str(error)
        else:
            return
        raise UnusableInput(f"the host key of {self.host}: {reason}")

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Login:
    """How we show who we are. With an `agent` (its socket) the file is the public half of a key that it holds."""

    identity_file: Path
    agent: Path | None = None


@dataclass(frozen=True)
class Patience:
    """Seconds until we give up: on a connection that is not made, and on one over which nothing comes any more."""

    connect: float = 10.0
    stall: float = 60.0


class SshConnection:
    """Connects when it is made; `HostKeyMismatch`, `DestinationUnreachable` or `DestinationRefused` if it cannot."""

    def __init__(self, server: SshServer, login: Login, patience: Patience, bastion: SshServer | None = None) -> None:
        self._patience = patience
        self._open: list[paramiko.Transport] = []
        try:
            with _identity(server, login) as key:
                wire: socket.socket | _Tunnel = self._dialled(bastion or server)
                if bastion is not None:
                    wire = _Tunnel(self._forwarded(self._logged_in(wire, bastion, key), bastion, server))
                self._transport = self._logged_in(wire, server, key)
        except BaseException:
            self.close()
            raise

    def is_active(self) -> bool:
        """False once it is lost or closed."""
        return self._transport.is_active()

    def open_sftp(self) -> paramiko.Channel:
        """A channel to the SFTP subsystem. Raises `FOREIGN`."""
        channel = self._transport.open_session(timeout=self._patience.connect)
        channel.settimeout(self._patience.stall)
        channel.invoke_subsystem("sftp")
        return channel

    def close(self) -> None:
        """End the connection, also that to a bastion. Never raises."""
        for transport in reversed(self._open):
            transport.close()

    def _dialled(self, server: SshServer) -> socket.socket:
        def dial() -> socket.socket:
            connection = socket.create_connection((server.host, server.port), timeout=self._patience.connect)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # paramiko tries forever to write into a connection whose other end is gone without a word.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._patience.stall * 1000))
            return connection

        return _tried(server, dial)

    def _forwarded(self, through: paramiko.Transport, bastion: SshServer, server: SshServer) -> paramiko.Channel:
        def forward() -> paramiko.Channel | None:
            try:
                return through.open_channel(
                    "direct-tcpip", (server.host, server.port), ("127.0.0.1", 0), timeout=self._patience.connect
                )
            except paramiko.ChannelException as error:
                if error.code == _PROHIBITED:
                    return None
                raise

        channel = _tried(server, forward)
        if channel is None:
            raise DestinationRefused(f"the bastion {bastion} does not let us through to {server}: ask its owner to")
        return channel

    def _logged_in(self, wire: socket.socket | _Tunnel, server: SshServer, key: paramiko.PKey) -> paramiko.Transport:
        transport = _tried(server, lambda: self._greeted(wire, server))
        _check_host_key(server, transport.get_remote_server_key().asbytes())
        refused = _tried(server, lambda: not _accepted(transport, server.user, key))
        if refused and transport.is_active():  # a cut connection is reported as a failed login too
            raise DestinationRefused(f"{server} does not accept our key for this user: ask its owner to register it")
        if refused:
            raise DestinationUnreachable(f"{server} ended the connection during the login: run again")
        return transport

    def _greeted(self, wire: socket.socket | _Tunnel, server: SshServer) -> paramiko.Transport:
        transport = paramiko.Transport(
            cast("socket.socket", wire), default_window_size=_WINDOW_BYTES, packetizer_class=Packets
        )
        self._open.append(transport)
        _restrict(transport, server)
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = self._patience.connect
        transport.start_client(timeout=self._patience.connect)
        return transport


def unreachable(server: SshServer, error: Exception) -> DestinationUnreachable:
    """What a broken wire is to whoever delivers."""
    return DestinationUnreachable(
        f"{server} cannot be reached or ended the connection ({type(error).__name__}): run again"
    )


def _tried(server: SshServer, action: Callable[[], _T]) -> _T:
    """Let no foreign error leave; ours is raised after the handler, so that it carries no foreign context."""
    try:
        return action()
    except FOREIGN as error:
        failure = unreachable(server, error)
    raise failure


def _restrict(transport: paramiko.Transport, server: SshServer) -> None:
    options = transport.get_security_options()
    options.ciphers = SSH_CIPHERS
    options.digests = SSH_MACS
    options.kex = SSH_KEY_EXCHANGE
    pinned = server.host_key.split(" ")[0].removeprefix("ssh-")  # `rsa` signs as rsa-sha2-*
    options.key_types = sorted(SSH_HOST_KEYS, key=lambda name: not name.removeprefix("ssh-").startswith(pinned))


def _check_host_key(server: SshServer, found: bytes) -> None:
    pinned = key_blob(server.host_key)
    if found != pinned:
        raise HostKeyMismatch(
            f"{server} shows host key {blob_fingerprint(found)}, not the agreed {blob_fingerprint(pinned)}: "
            "ask its owner, and register the new key only if the owner confirms it"
        )


def _accepted(transport: paramiko.Transport, user: str, key: paramiko.PKey) -> bool:
    try:
        transport.auth_publickey(user, key)
    except paramiko.AuthenticationException:
        return False
    return True


class _Tunnel:
    """A channel through a bastion, as the socket that a connection to the server behind it needs."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def recv_into(self, buffer: memoryview) -> int:
        some = self._channel.recv(len(buffer))
        buffer[: len(some)] = some
        return len(some)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)


class _Agent(AgentSSH):
    """The keys of the agent that listens at a socket."""

    if TYPE_CHECKING:

        def _connect(self, connection: socket.socket) -> None: ...
        def _close(self) -> None: ...

    def __init__(self, path: Path) -> None:
        super().__init__()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(_AGENT_SECONDS)
        try:
            connection.connect(str(path))
            self._connect(connection)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        self._close()


@contextlib.contextmanager
def _identity(server: SshServer, login: Login) -> Iterator[paramiko.PKey]:
    """Our key, for as long as we log in."""
    if login.agent is None:
        yield _key_of_file(server, login.identity_file)
        return
    wanted = _public_blob(server, login.identity_file)
    agent = _agent(server, login.agent)
    try:
        yield _held(server, agent, wanted)
    finally:
        agent.close()


def _key_of_file(server: SshServer, path: Path) -> paramiko.PKey:
    try:
        return paramiko.PKey.from_path(path)
    except Exception as error:  # noqa: BLE001 - paramiko lets many kinds through, and none may show a key
        reason = type(error).__name__
    raise DestinationRefused(f"{server}: our identity file cannot be used ({reason}): check its path and form")


def _public_blob(server: SshServer, path: Path) -> bytes:
    try:
        return key_blob(" ".join(path.read_text(encoding="ascii").split()[:2]))
    except (OSError, ValueError):
        pass
    raise DestinationRefused(f"{server}: with an agent our identity file is a public key of OpenSSH, TYPE BASE64")


def _agent(server: SshServer, path: Path) -> _Agent:
    try:
        return _Agent(path)
    except FOREIGN as error:
        reason = type(error).__name__
    raise DestinationUnreachable(f"{server}: the agent that holds our key does not answer ({reason}): start it")


def _held(server: SshServer, agent: _Agent, wanted: bytes) -> paramiko.PKey:
    for key in agent.get_keys():
        if key.asbytes() == wanted:
            return key
    raise DestinationRefused(f"{server}: the agent does not hold our key {blob_fingerprint(wanted)}: use ssh-add")
