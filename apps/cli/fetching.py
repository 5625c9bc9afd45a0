"""Fetch everything from a drop zone as a recipient does: with OpenSSH `sftp` where it is, else with our own client."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from core.errors import DestinationUnreachable
from transports.sftp import SftpDestination, SftpTransport


def fetch(port: int, host_key: str, user: str, ssh_key: Path, target: Path) -> str:
    """Copy `deliveries/` into the new folder `target`; returns the name of the client that did it."""
    target.mkdir(parents=True)
    sftp = shutil.which("sftp")
    if sftp is None:
        _fetch_with_paramiko(port, host_key, user, ssh_key, target)
        return "paramiko"
    known_hosts = target.parent / "known_hosts"
    known_hosts.write_text(f"[127.0.0.1]:{port} {host_key}\n", encoding="ascii")
    options = {
        "IdentityFile": ssh_key, "IdentitiesOnly": "yes", "UserKnownHostsFile": known_hosts,
        "StrictHostKeyChecking": "yes", "BatchMode": "yes",
    }  # fmt: skip
    done = subprocess.run(  # noqa: S603 - a fixed program with our own arguments
        [sftp, "-q", "-P", str(port), *(f"-o{name}={value}" for name, value in options.items()), "-r",
         f"{user}@127.0.0.1:deliveries/*", str(target)],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise DestinationUnreachable(f"sftp could not fetch the delivery: {done.stderr.strip()[-300:]}")
    return "OpenSSH sftp"


def _fetch_with_paramiko(port: int, host_key: str, user: str, ssh_key: Path, target: Path) -> None:
    destination = SftpDestination(
        host="127.0.0.1", port=port, user=user, root="/deliveries", host_key=host_key, identity_file=ssh_key,
        connect_seconds=10.0,
    )  # fmt: skip
    with SftpTransport(destination) as transport:
        waiting = [name for name in transport.list("") if name]
        while waiting:
            name = waiting.pop()
            stat = transport.stat(name)
            if stat and stat.is_directory:
                (target / name).mkdir()
                waiting.extend(f"{name}/{child}" for child in transport.list(name))
                continue
            with (target / name).open("xb") as file:
                for block in transport.read(name):
                    file.write(block)
