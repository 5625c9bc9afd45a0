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
        host="127.0.0.1", port=port, user=user, root="/", host_key=host_key, identity_file=ssh_key, connect_seconds=10.0
    )
    with SftpTransport(destination) as transport:
        _copy_folder(transport, "deliveries", target)


def _copy_folder(transport: SftpTransport, folder: str, target: Path) -> None:
    """All that is in `folder`, into `target`, which exists. The transport refuses names that would lead elsewhere."""
    for name in transport.list(folder):
        stat = transport.stat(f"{folder}/{name}")
        if stat is not None and stat.is_directory:
            (target / name).mkdir()
            _copy_folder(transport, f"{folder}/{name}", target / name)
            continue
        with (target / name).open("xb") as file:
            for block in transport.read(f"{folder}/{name}"):
                file.write(block)
