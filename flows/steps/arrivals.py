"""Files that recipients put into the drop zone, as the flows find them: each complete, with a ticket that says how it
came, and perhaps with its signature beside it. Nothing that lies there is followed or executed.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import UnusableInput
from flows.wiring import Services
from schemas.accounts import Upload, ticket_name

SIGNATURE = ".sig"
_LARGEST_BESIDE = 16 * 1024  # bytes of a ticket or a signature; ours have about 400
_TOLD = {"size", "address", "session", "fingerprint", "started", "ended"}
_FOLLOWED_NOWHERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def files(area: Path) -> list[Path]:
    """The files that came in, without the signatures, the oldest first."""
    found = (path for path in area.iterdir() if _is_regular(path) and path.suffix != SIGNATURE)
    return sorted(found, key=lambda path: path.lstat().st_mtime_ns)


def descriptor_of(path: Path) -> int:
    """Opened for reading, and no link followed; whoever asked closes it."""
    return os.open(path, _FOLLOWED_NOWHERE)


def small_file(path: Path, limit: int = _LARGEST_BESIDE) -> bytes | None:
    """The first `limit` bytes; None if there is no such file."""
    try:
        with open(descriptor_of(path), "rb") as file:
            return file.read(limit)
    except OSError:
        return None


def signature_of(path: Path) -> bytes | None:
    return small_file(signature_path(path))


def signature_path(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE)


def has_ticket(path: Path) -> bool:
    """Whether our own server says that it came in whole."""
    return path.with_name(ticket_name(path.name)).exists()


def how_it_came(path: Path) -> dict[str, object]:
    """As the drop zone tells; nothing where it does not."""
    try:
        ticket = Upload.from_bytes(small_file(path.with_name(ticket_name(path.name))) or b"")
    except UnusableInput:
        return {}
    return ticket.model_dump(mode="json", include=_TOLD)


def waited(services: Services, path: Path) -> float:
    """Seconds since it was written."""
    return services.clock().timestamp() - path.lstat().st_mtime


def remove(path: Path) -> None:
    """The file, its ticket, its signature and that one's ticket."""
    for each in (path, signature_path(path)):
        each.unlink(missing_ok=True)
        each.with_name(ticket_name(each.name)).unlink(missing_ok=True)


def remove_what_is_lonely(services: Services, area: Path) -> None:
    """Signatures and tickets whose file never came, or was taken by a process that was killed before it removed all."""
    here = {path.name for path in area.iterdir() if _is_regular(path)}
    tickets = {ticket_name(name) for name in here}
    for path in area.iterdir():
        lonely_ticket = _is_ticket(path.name) and path.name not in tickets
        lonely_signature = path.suffix == SIGNATURE and path.stem not in here
        if (lonely_ticket or lonely_signature) and is_overdue(services, path):
            remove(path)


def is_overdue(services: Services, path: Path) -> bool:
    """Whether it has waited long enough for what belongs to it."""
    return waited(services, path) > services.settings.dropzone.signature_seconds


@contextmanager
def alone_in(area: Path) -> Iterator[None]:
    """Nobody else takes files of the area meanwhile: who came second would remove what was sent since."""
    descriptor = os.open(area, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_ticket(name: str) -> bool:
    return name == ticket_name(name.removeprefix(".").rpartition(".")[0])


def _is_regular(path: Path) -> bool:
    return not path.name.startswith(".") and stat.S_ISREG(path.lstat().st_mode)
