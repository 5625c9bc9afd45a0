"""Programs that recipients have, as they fetch one file: whole, or the rest of one that is here in part.

Each is told the key of the server and accepts no other, and fails within seconds where the connection is cut.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.servers.dropzone import DropzoneWorld
from tests.servers.openssh import public_line

NPM = Path(__file__).parents[1] / "npm"
MIB = 1024 * 1024
_PATIENCE = 120.0  # seconds for one program on a busy machine


@dataclass
class Place:
    """Where a recipient fetches to, its key, and the server behind `port` as it knows it."""

    world: DropzoneWorld
    folder: Path
    port: int
    user: str = "fonds"

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")

    @property
    def key(self) -> Path:
        return self.world.keys / self.user

    @property
    def host_key(self) -> str:
        return public_line(self.world.keys / "host")

    @property
    def known_hosts(self) -> Path:
        return self.folder / f"known_hosts-{self.port}"

    @property
    def ssh_options(self) -> list[str]:
        settings = [f"UserKnownHostsFile={self.known_hosts}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
        return ["-F", "none", *(flag for each in settings for flag in ("-o", each)), "-i", str(self.key)]

    def run(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run a program in the folder; it may fail."""
        return subprocess.run(
            command, input=text, capture_output=True, text=True, cwd=self.folder, timeout=_PATIENCE, check=False
        )

    def sftp(self, *commands: str) -> subprocess.CompletedProcess[str]:
        batch = "".join(f"{command}\n" for command in commands)
        server = ["-P", str(self.port), "-b", "-", f"{self.user}@127.0.0.1"]
        return self.run("sftp", *self.ssh_options, *server, text=batch)

    def lftp(self, command: str) -> subprocess.CompletedProcess[str]:
        ssh = shlex.join(["ssh", "-a", "-x", *self.ssh_options, "-p", str(self.port)])
        settings = f'set sftp:connect-program "{ssh}"; set net:reconnect-interval-base 1; set cmd:fail-exit yes'
        return self.run("lftp", "-c", f"{settings}; open sftp://{self.user}:@127.0.0.1; {command}")

    def rclone(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`zone:` names the server; its configuration comes from options, none is read from the machine."""
        config = self.folder / "rclone.conf"
        config.write_text(
            f"[zone]\ntype = sftp\nhost = 127.0.0.1\nport = {self.port}\nuser = {self.user}\nkey_file = {self.key}\n"
            f"known_hosts_file = {self.known_hosts}\nshell_type = none\n"
        )
        return self.run("rclone", "--config", str(config), *arguments)

    def psftp(self, *commands: str) -> subprocess.CompletedProcess[str]:
        ppk = self.folder / f"{self.user}.ppk"
        if not ppk.exists():
            subprocess.run(["puttygen", str(self.key), "-O", "private", "-o", str(ppk)], check=True)
        listed = subprocess.run(
            ["ssh-keygen", "-lf", str(self.world.keys / "host.pub")], capture_output=True, text=True, check=True
        )
        batch = self.folder / "psftp.batch"
        batch.write_text("".join(f"{command}\n" for command in commands))
        flags = ["-batch", "-i", str(ppk), "-P", str(self.port), "-hostkey", listed.stdout.split()[1], "-b", str(batch)]
        return self.run("psftp", *flags, f"{self.user}@127.0.0.1")


Fetch = Callable[[Place, str, Path, bool], subprocess.CompletedProcess[str]]


@dataclass(frozen=True)
class Client:
    """`fetch(place, remote, local, resume)`: all of them ask only for what is missing of a part, some `alone`, without
    being started again. `closes` if it always tells the server that it has all of a file: lftp may
    end its connection first, and then nobody can say whether the last bytes arrived.
    """

    name: str
    programs: tuple[str, ...]
    fetch: Fetch
    alone: bool = False
    closes: bool = True
    cut_after: int = 3 * MIB  # bytes of answers on one connection


def _sftp(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    return place.sftp(f"{'reget' if resume else 'get'} {remote} {local}")


def _lftp(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    return place.lftp(f"get {'-c ' if resume else ''}{remote} -o {local}")


def _pget(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    return place.lftp(f"pget -n 4 {'-c ' if resume else ''}{remote} -o {local}")


def _rclone(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    return place.rclone("copyto", f"zone:{remote}", str(local))


def _psftp(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    return place.psftp(f"{'reget' if resume else 'get'} {remote} {local}")


def _sshfs(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    """Mounted, and copied from where the local file ends, less what the kernel may have filled up with zeros when the
    connection broke: it takes a short answer for the end of the file.
    """
    mount = place.folder / "mount"
    mount.mkdir(exist_ok=True)
    ssh = shlex.join(["ssh", *place.ssh_options])
    target = [f"{place.user}@127.0.0.1:/", str(mount), "-p", str(place.port), "-o", f"ro,ssh_command={ssh}"]
    mounted = place.run("sshfs", *target)
    if mounted.returncode:
        return mounted
    try:
        start = max(0, local.stat().st_size - MIB) if resume else 0
        with local.open("r+b" if resume else "wb") as out:
            out.seek(start)
            out.truncate()
            return subprocess.run(
                ["tail", "-c", f"+{start + 1}", str(mount / remote.lstrip("/"))],
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
    finally:
        _unmount(mount)


def _unmount(mount: Path) -> None:
    """sshfs ends by itself when it is cut, and then there is nothing to unmount."""
    for _ in range(100):
        subprocess.run(["fusermount3", "-u", str(mount)], capture_output=True, check=False)
        if not any(str(mount) in line.split() for line in Path("/proc/mounts").read_text().splitlines()):
            return
        time.sleep(0.1)  # what had a file open is about to end
    raise TimeoutError("the file system cannot be unmounted")


def _ssh2(place: Place, remote: str, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    host_key = place.host_key.split()[1]
    arguments = [str(place.port), place.user, str(place.key), host_key, remote, str(local)]
    return place.run("node", str(NPM / "sftp.mjs"), *arguments)


CLIENTS = (
    Client("OpenSSH sftp", ("sftp",), _sftp),
    Client("lftp get", ("lftp",), _lftp, alone=True, closes=False),
    Client("lftp pget", ("lftp",), _pget, alone=True, closes=False, cut_after=MIB),
    Client("rclone", ("rclone",), _rclone, alone=True),
    Client("psftp", ("psftp", "puttygen"), _psftp),
    Client("sshfs", ("sshfs", "fusermount3"), _sshfs),
    Client("ssh2-sftp-client", ("node",), _ssh2),
)
