"""Whose connection a process of sshd serves, as /proc tells (proc(5)). None, or nothing, where it is gone already."""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def parent(pid: int) -> int | None:
    """The process that started this one."""
    with suppress(OSError, ValueError):
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return None


def is_running(pid: int) -> bool:
    """Not so if it ended and nobody has asked for its exit code yet."""
    with suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def remote_ports(pid: int) -> set[int]:
    """The TCP ports of the peers of all connections that a process has open."""
    with suppress(OSError):
        links = [str(link.readlink()) for link in (_PROC / str(pid) / "fd").iterdir()]
        inodes = {found[1] for link in links if (found := _SOCKET.fullmatch(link))}
        return {port for inode, port in _connections() if inode in inodes and port}
    return set()


def _connections() -> Iterator[tuple[str, int]]:
    for name in ("tcp", "tcp6"):
        with suppress(FileNotFoundError):
            for line in (_PROC / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                yield fields[9], int(fields[2].rpartition(":")[2], 16)


def open_files(pid: int, uid: int) -> Iterator[os.stat_result]:
    """The regular files of a user that a process has open, those without a name too."""
    with suppress(OSError):
        for link in (_PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                status = link.stat()
                if stat.S_ISREG(status.st_mode) and status.st_uid == uid:
                    yield status


def of_user(uid: int) -> list[int]:
    """All processes of a user."""
    found = []
    for folder in _PROC.iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and folder.stat().st_uid == uid:
                found.append(int(folder.name))
    return found


def end(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
