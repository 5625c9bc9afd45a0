"""What recipients put into the drop zone for us: each file is taken with its signature, judged and removed.

The path says who sent it, since the drop zone lets everyone into its own folder only. Nothing that lies there is
followed, executed or unpacked; a file that cannot be judged now, for a reason of ours, stays for the next time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from core.errors import GlaError, UnusableInput, unexpected
from core.ids import checked_name
from flows.steps.intake import Incoming, receive
from flows.wiring import Services
from schemas.accounts import Upload, ticket_name

logger = logging.getLogger(__name__)

_TOLD = {"size", "address", "session", "fingerprint", "started", "ended"}
_SIGNATURE = ".sig"
_LARGEST_BESIDE = 16 * 1024  # bytes of a ticket or a signature; ours have about 400
_FOLLOWED_NOWHERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def take_incoming(services: Services) -> int:
    """Take every file that is complete, and has its signature or waited long enough for it; returns how many.

    Those of one agreement are taken in the order in which they came: what must wait holds up those after it, and no
    other agreement's.
    """
    count = 0
    for area in sorted(services.incoming_folder.glob("*/*")):
        if area.is_dir() and not area.is_symlink() and not area.parent.is_symlink():
            try:
                _remove_what_is_lonely(services, area)
                for path in _complete(area):
                    if _signature_of(path) is None and not _is_overdue(services, path):
                        break
                    count += _take(services, path)
            except GlaError as error:
                logger.warning("a file of %s under %s stays: %s", area.parent.name, area.name, error)
            except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - bytes of a stranger
                unexpected("taking a file from the drop zone", error)
    return count


def _complete(area: Path) -> list[Path]:
    """The files that came in whole, without the signatures, the oldest first."""
    found = (path for path in area.iterdir() if _is_regular(path) and path.suffix != _SIGNATURE)
    return sorted(found, key=lambda path: path.lstat().st_mtime_ns)


def _remove_what_is_lonely(services: Services, area: Path) -> None:
    """Signatures and tickets whose file never came, or was taken by a process that was killed before it removed all."""
    files = {path.name for path in area.iterdir() if _is_regular(path)}
    tickets = {ticket_name(name) for name in files}
    for path in area.iterdir():
        lonely_ticket = _is_ticket(path.name) and path.name not in tickets
        lonely_signature = path.suffix == _SIGNATURE and path.stem not in files
        if (lonely_ticket or lonely_signature) and _is_overdue(services, path):
            _remove(path)


def _is_ticket(name: str) -> bool:
    return name == ticket_name(name.removeprefix(".").rpartition(".")[0])


def _is_regular(path: Path) -> bool:
    return not path.name.startswith(".") and stat.S_ISREG(path.lstat().st_mode)


def _is_overdue(services: Services, path: Path) -> bool:
    """Whether it has waited long enough for what belongs to it."""
    waited = services.clock().timestamp() - path.lstat().st_mtime
    return waited > services.settings.dropzone.signature_seconds


def _signature_of(path: Path) -> bytes | None:
    return _beside(path.with_name(path.name + _SIGNATURE))


def _take(services: Services, path: Path) -> bool:
    """Judge one file, and remove it with its signature; False if another process was taking it and did."""
    with _alone_in(path.parent):
        if not path.exists():
            return False
        _judge(services, path)
        return True


@contextmanager
def _alone_in(area: Path) -> Iterator[None]:
    """Nobody else takes files of the area meanwhile: who came second would remove what was sent since."""
    descriptor = os.open(area, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _judge(services: Services, path: Path) -> None:
    signature = _signature_of(path)
    recipient, agreement_id, name = (checked_name(each, "a name in the drop zone") for each in path.parts[-3:])
    with open(os.open(path, _FOLLOWED_NOWHERE), "rb") as file:  # noqa: PTH123 - by descriptor
        text = None if signature is None else signature.decode("ascii", "replace")
        incoming = Incoming(agreement_id, recipient, name, file, recipient, text, detail=_detail(path))
        try:
            report = receive(services, incoming)
            logger.info("agreement %s: a participants file was %s", agreement_id, report.outcome)
        except UnusableInput as error:  # not the recipient's agreement, which is recorded
            logger.warning("agreement %s: a participants file was refused: %s", agreement_id, error)
    _remove(path)
    _remove(path.with_name(path.name + _SIGNATURE))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.with_name(ticket_name(path.name)).unlink(missing_ok=True)


def _detail(path: Path) -> dict[str, object]:
    """How it came, as the drop zone tells; nothing where it does not."""
    try:
        ticket = Upload.from_bytes(_beside(path.with_name(ticket_name(path.name))) or b"")
    except UnusableInput:
        return {}
    return ticket.model_dump(mode="json", include=_TOLD)


def _beside(path: Path) -> bytes | None:
    """A small file that belongs to another; None if there is none."""
    try:
        with open(os.open(path, _FOLLOWED_NOWHERE), "rb") as file:  # noqa: PTH123
            return file.read(_LARGEST_BESIDE)
    except OSError:
        return None
