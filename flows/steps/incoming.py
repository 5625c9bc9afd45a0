"""What recipients put into the drop zone for us: each file is taken, judged and removed.

The path says who sent it, since the drop zone lets everyone into its own folder only. Nothing that lies there is
followed, executed or unpacked; a file that cannot be judged now, for a reason of ours, stays for the next time.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from core.errors import GlaError, UnusableInput, unexpected
from core.ids import checked_name
from flows.steps.intake import Incoming, receive
from flows.wiring import Services
from schemas.accounts import Upload, ticket_name

logger = logging.getLogger(__name__)

_TOLD = {"size", "address", "session", "fingerprint", "started", "ended"}
_LARGEST_TICKET = 16 * 1024  # bytes; ours have about 400
_FOLLOWED_NOWHERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def take_incoming(services: Services) -> int:
    """Take every file that is complete; returns how many. One that fails does not stop the others."""
    count = 0
    for path in _waiting(services.incoming_folder):
        try:
            _take(services, path)
            count += 1
        except GlaError as error:
            logger.warning("a file of %s under %s stays: %s", path.parts[-3], path.parts[-2], error)
        except Exception as error:  # noqa: BLE001 - a stranger's bytes must not stop the others
            unexpected("taking a file from the drop zone", error)
    return count


def _waiting(incoming: Path) -> Iterator[Path]:
    """Complete files, `incoming/RECIPIENT/AGREEMENT/NAME`, those of one agreement in the order in which they came."""
    for area in sorted(incoming.glob("*/*")):
        if area.is_dir() and not area.is_symlink() and not area.parent.is_symlink():
            yield from sorted(filter(_is_complete, area.iterdir()), key=lambda path: path.lstat().st_mtime_ns)


def _is_complete(path: Path) -> bool:
    return not path.name.startswith(".") and stat.S_ISREG(path.lstat().st_mode)


def _take(services: Services, path: Path) -> None:
    recipient, agreement_id, name = (checked_name(each, "a name in the drop zone") for each in path.parts[-3:])
    ticket = path.with_name(ticket_name(name))
    with open(os.open(path, _FOLLOWED_NOWHERE), "rb") as file:  # noqa: PTH123 - by descriptor
        incoming = Incoming(agreement_id, recipient, name, file, actor=recipient, detail=_detail(ticket))
        try:
            report = receive(services, incoming)
            logger.info("agreement %s: a participants file was %s", agreement_id, report.outcome)
        except UnusableInput as error:  # not the recipient's agreement, which is recorded
            logger.warning("agreement %s: a participants file was refused: %s", agreement_id, error)
    path.unlink(missing_ok=True)
    ticket.unlink(missing_ok=True)


def _detail(ticket: Path) -> dict[str, object]:
    """How it came, as the drop zone tells; nothing where it does not."""
    try:
        with open(os.open(ticket, _FOLLOWED_NOWHERE), "rb") as file:  # noqa: PTH123
            return Upload.from_bytes(file.read(_LARGEST_TICKET)).model_dump(mode="json", include=_TOLD)
    except (OSError, UnusableInput):
        return {}
