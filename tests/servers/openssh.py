"""A real OpenSSH server for tests: an ordinary user, a free port, its own host key, one accepted user key."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
Subsystem sftp internal-sftp {options}
"""


@dataclass
class OpenSshServer:
    """`root` is an empty folder below which the tests write; `user_key` may log in, `wrong_key` may not."""

    program: str
    folder: Path
    port: int
    host: str = "127.0.0.1"
    user: str = field(default_factory=getpass.getuser)
    sftp_options: str = ""  # of internal-sftp, from the next start on
    _process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def user_key(self) -> Path:
        return self.folder / "user_key"

    @property
    def wrong_key(self) -> Path:
        return self.folder / "wrong_key"

    @property
    def host_key(self) -> str:
        """`ssh-ed25519 AAAA...`, without a comment."""
        return public_line(self.folder / "host_key")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        config = self.folder / "sshd_config"
        config.write_text(_CONFIG.format(port=self.port, folder=self.folder, options=self.sftp_options))
        with (self.folder / "sshd.log").open("ab") as log:
            self._process = subprocess.Popen([self.program, "-D", "-e", "-f", str(config)], stderr=log)
        wait_for_port(self.port)

    def stop(self) -> None:
        """Kill the listener and every session at once, as when the machine goes down."""
        if self._process is not None:
            import psutil

            listener = psutil.Process(self._process.pid)
            listener.suspend()  # or it might start a session that nobody knows of, and that holds the port
            sessions = listener.children(recursive=True)
            for process in [*sessions, listener]:
                with contextlib.suppress(psutil.NoSuchProcess):  # a session may end by itself meanwhile
                    process.kill()
            self._process.wait()
            psutil.wait_procs(sessions, timeout=10)
            self._process = None


def make_key(path: Path, kind: str = "ed25519", bits: int | None = None) -> Path:
    """A new private key without passphrase, in OpenSSH's own format, made by OpenSSH."""
    size = ["-b", str(bits)] if bits else []
    subprocess.run(["ssh-keygen", "-q", "-t", kind, *size, "-N", "", "-C", "", "-f", str(path)], check=True)
    return path


def public_line(private_key: Path) -> str:
    """The type and the base64 of the public half, without a comment."""
    return " ".join(private_key.with_name(private_key.name + ".pub").read_text().split()[:2])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def openssh_factory(
    require_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], OpenSshServer]]:
    """Starts a server of its own for the tests that stop it or change its keys."""
    program = require_program("sshd")
    require_program("ssh-keygen")
    servers: list[OpenSshServer] = []

    def start() -> OpenSshServer:
        servers.append(start_openssh(program, tmp_path_factory.mktemp("sshd")))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def openssh(require_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSshServer]:
    """One server for the whole run, for the tests that leave it as it is."""
    require_program("ssh-keygen")
    server = start_openssh(require_program("sshd"), tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


def start_openssh(program: str, folder: Path) -> OpenSshServer:
    """A running server in an existing, empty folder."""
    for name in ["host_key", "user_key", "wrong_key"]:
        make_key(folder / name)
    (folder / "authorized_keys").write_text(public_line(folder / "user_key") + "\n")
    (folder / "root").mkdir()
    if os.geteuid() == 0:  # sshd as root insists on its privilege separation folder
        Path("/run/sshd").mkdir(exist_ok=True)
    server = OpenSshServer(program, folder, free_port())
    server.start()
    return server
