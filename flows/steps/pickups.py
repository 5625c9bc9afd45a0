"""Pickups: what the drop zone wrote to its spool becomes ledger entries, each once, and the spool file goes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from core.canonical import sha256_hex
from core.errors import GlaError
from core.period import Period
from flows.steps.seal import Sealed
from flows.wiring import Services
from ledger.deliveries import Pickup as Reading
from schemas.accounts import Pickup

logger = logging.getLogger(__name__)


def record_pickups(services: Services) -> int:
    """Record every finished spool file and remove it; returns how many readings were new. A line that we did not
    write is kept aside as `.rejected` and logged: it never stops the others.
    """
    count = 0
    for path in sorted((services.settings.dropzone_dir / "spool").glob("*.jsonl")):
        try:
            for line in path.read_bytes().splitlines():
                count += services.ledger.record_pickup(_reading(services, Pickup.from_bytes(line), line))
        except GlaError as error:
            if error.transient:
                raise
            logger.warning("spool file %s is set aside: %s", path.name, error)
            path.rename(path.with_suffix(".rejected"))
        else:
            path.unlink()
    return count


def _reading(services: Services, pickup: Pickup, line: bytes) -> Reading:
    agreement_id, period_text, edition_text, file = Path(pickup.path).parts[-4:]
    period, edition = Period.parse(period_text), int(edition_text.removeprefix("edition-"))
    delivery = services.ledger.get(agreement_id, period, edition)
    files = Sealed.from_json(delivery.sealed).files if delivery and delivery.sealed else {file: (0, "")}
    return Reading(
        agreement_id=agreement_id,
        period=period,
        edition=edition,
        recipient=pickup.recipient,
        file=file,
        whole=pickup.whole,
        files=frozenset(files),
        once=sha256_hex(line),
        detail={
            name: value
            for name, value in json.loads(line).items()
            if name in ("size", "bytes_read", "address", "session", "fingerprint", "started", "ended")
        },
    )
