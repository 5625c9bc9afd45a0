"""Pickups: what the drop zone wrote to its spool becomes ledger entries, each once, and the spool file goes."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from core.canonical import sha256_hex
from core.errors import GlaError, UnusableInput
from core.ids import checked_name
from core.period import Period
from flows.steps.participant_reports import is_of_report, record_reading
from flows.steps.seal import Sealed
from flows.wiring import Services
from ledger.deliveries import FileReading
from ledger.deliveries import Pickup as Reading
from schemas.accounts import SPOOL, Pickup

logger = logging.getLogger(__name__)

_EDITION = re.compile(r"edition-([1-9][0-9]{0,8})")
_IN_DETAIL = {"bytes_read", "address", "session", "fingerprint", "started"}


def record_pickups(services: Services) -> int:
    """Record every finished spool file and remove it; returns how many readings were new. A file with a line that we
    did not write is kept aside as `.rejected` and logged, after its other lines: it never stops the others.
    """
    done: dict[Path, bool] = {}
    reports: list[int] = []
    new = services.ledger.record_pickups(_readings(services, done, reports))
    for path, fine in done.items():  # not before: whether all was read is asked again after a crash
        _put_away(path, fine=fine)
    return new + sum(reports)


def _readings(services: Services, done: dict[Path, bool], reports: list[int]) -> Iterator[Reading]:
    """What the spool files tell of deliveries, one after another. Each file is `done`, fine or not; of `reports`, which
    are recorded on the way, how many were new.
    """
    for path in sorted((services.settings.dropzone_dir / SPOOL).glob("*.jsonl")):
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:  # another collector was here first
            continue
        fine = True
        for number, line in enumerate(lines, 1):
            try:
                pickup = Pickup.from_bytes(line)
                if is_of_report(pickup):
                    reports.append(record_reading(services, pickup, line))
                    continue
                reading = _reading(services, pickup, line)
            except GlaError as error:
                if error.transient:
                    raise
                fine = False
                logger.warning("spool file %s is set aside for its line %d: %s", path.name, number, error)
            else:
                yield reading
        done[path] = fine


def _put_away(path: Path, *, fine: bool) -> None:
    if fine:
        path.unlink(missing_ok=True)
        return
    with contextlib.suppress(FileNotFoundError):  # another collector was here first
        path.replace(path.with_suffix(".rejected"))


def _reading(services: Services, pickup: Pickup, line: bytes) -> Reading:
    agreement_id, period, edition, file = place(pickup.path)
    delivery = services.ledger.get(agreement_id, period, edition)
    files = Sealed.from_json(delivery.sealed).files if delivery and delivery.sealed else {file: (0, "")}
    return Reading(
        agreement_id=agreement_id,
        period=period,
        edition=edition,
        recipient=pickup.recipient,
        file=file,
        reading=FileReading(pickup.size, pickup.spans, pickup.closed, pickup.ended),
        files=frozenset(files),
        once=sha256_hex(line),
        detail=pickup.model_dump(mode="json", include=_IN_DETAIL),
    )


def place(path: str) -> tuple[str, Period, int, str]:
    """What agreement/period/edition-N/file names; `UnusableInput` for any other path."""
    names = path.split("/")
    edition = _EDITION.fullmatch(names[2]) if len(names) == 4 else None
    if edition is None:
        raise UnusableInput("the path of a pickup is not of the form AGREEMENT/PERIOD/edition-N/FILE")
    period = Period.parse(names[1])
    return checked_name(names[0], "an agreement"), period, int(edition[1]), checked_name(names[3], "a file")
