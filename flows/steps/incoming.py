"""What recipients put into the drop zone for us: each file is taken with its signature, judged and removed.

The path says who sent it, since the drop zone lets everyone into its own folder only. Nothing that lies there is
followed, executed or unpacked; a file that cannot be judged now, for a reason of ours, stays for the next time.
"""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from core.errors import GlaError, UnusableInput, unexpected
from core.ids import checked_name
from flows.steps.arrivals import (
    alone_in,
    descriptor_of,
    files,
    how_it_came,
    is_overdue,
    remove,
    remove_what_is_lonely,
    signature_of,
)
from flows.steps.intake import Incoming, receive
from flows.wiring import Services

logger = logging.getLogger(__name__)


def take_incoming(services: Services) -> int:
    """Take every file that is complete, and has its signature or waited long enough for it; returns how many.

    Those of one agreement are taken in the order in which they came: what must wait holds up those after it, and no
    other agreement's.
    """
    count = 0
    for area in sorted(services.incoming_folder.glob("*/*")):
        if area.is_dir() and not area.is_symlink() and not area.parent.is_symlink():
            try:
                remove_what_is_lonely(services, area)
                for path in files(area):
                    if signature_of(path) is None and not is_overdue(services, path):
                        break
                    count += _take(services, path)
            except GlaError as error:
                logger.warning("a file of %s under %s stays: %s", area.parent.name, area.name, error)
            except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - bytes of a stranger
                unexpected("taking a file from the drop zone", error)
    return count


def _take(services: Services, path: Path) -> bool:
    """Judge one file, and remove it with its signature; False if another process was taking it and did."""
    with alone_in(path.parent):
        if not path.exists():
            return False
        _judge(services, path)
        return True


def _judge(services: Services, path: Path) -> None:
    signature = signature_of(path)
    recipient, agreement_id, name = (checked_name(each, "a name in the drop zone") for each in path.parts[-3:])
    with open(descriptor_of(path), "rb") as file:  # noqa: PTH123 - by descriptor
        text = None if signature is None else signature.decode("ascii", "replace")
        incoming = Incoming(agreement_id, recipient, name, file, recipient, text, detail=how_it_came(path))
        try:
            report = receive(services, incoming)
            logger.info("agreement %s: a participants file was %s", agreement_id, report.outcome)
        except UnusableInput as error:  # not the recipient's agreement, which is recorded
            logger.warning("agreement %s: a participants file was refused: %s", agreement_id, error)
    remove(path)
