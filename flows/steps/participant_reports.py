"""Our signed report on a participants file, in the recipient's own place in the drop zone.

`deliveries/AGREEMENT/participants/set-000001.json` on a file that made set 1, `TIME-refused.json` on one that changed
nothing; beside each the signature, by the key that signs deliveries, namespace `gla-participants`.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from agreements import store
from core.canonical import sha256_hex
from core.clock import from_rfc3339
from core.database import reading, writing
from core.errors import AgreementError, UnusableInput
from core.files import write_file
from core.ids import checked_name
from flows.steps.agree import unaltered
from flows.steps.staging import disk_errors
from flows.wiring import Services
from keys.private.custody import Role
from keys.sshsig import Namespace
from ledger.events import find_once
from ledger.vocabulary import Action, Result
from schemas.accounts import Pickup
from schemas.agreement import Agreement
from schemas.participants import AREA, ParticipantsReport

logger = logging.getLogger(__name__)

_MODE = 0o640
_TOLD = {"bytes_read", "whole", "address", "session", "fingerprint", "started"}


def report_name(report: ParticipantsReport) -> str:
    """The name of its file; the same report always has the same one."""
    if report.outcome == "accepted" and report.participants is not None:
        return f"set-{report.participants.number:06d}.json"
    moment = "".join(each for each in report.received if each.isalnum())
    return f"{moment}-{report.checksum[:8]}-{report.outcome}.json"


def publish_report(services: Services, agreement: Agreement, report: ParticipantsReport) -> None:
    """Put report and signature there; the signature first, so that no report is seen without."""
    content = report.to_bytes()
    signature = services.custody.signer(Role.MANIFEST).sign(content, Namespace.PARTICIPANTS)
    folder = services.recipient_folder(agreement.recipient) / agreement.id / AREA
    name = checked_name(report_name(report), "a report")
    with disk_errors():
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        if not (folder / name).exists():
            write_file(folder / f"{name}.sig", signature.encode(), mode=_MODE)
            write_file(folder / name, content, mode=_MODE)


def remove_old_reports(services: Services) -> int:
    """Remove each report that was there for as long as a delivery is kept; the ledger keeps it. Returns how many."""
    now, count = services.clock(), 0
    for path in sorted(services.settings.dropzone_dir.glob(f"deliveries/*/*/{AREA}/*.json")):
        agreement_id = path.parent.parent.name
        try:
            with reading(services.engine) as connection:
                kept = unaltered(store.get(connection, agreement_id)).retention_days
            received = ParticipantsReport.from_bytes(path.read_bytes()).received
        except (OSError, UnusableInput, AgreementError) as error:
            logger.warning("a report under %s is left where it is: %s", agreement_id, type(error).__name__)
            continue
        if from_rfc3339(received) + timedelta(days=kept or services.settings.delivery.retention_days) > now:
            continue
        _tell_removed(services, agreement_id, path.name)
        with disk_errors():  # the report last: it is what the next run finds, should this one be killed here
            path.with_name(f"{path.name}.sig").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
        count += 1
    return count


def _tell_removed(services: Services, agreement_id: str, name: str) -> None:
    object_ = f"participants:{agreement_id}/{checked_name(name, 'a report')}"
    once = f"participants report removed {agreement_id} {name}"
    services.ledger.record(
        Action.PARTICIPANTS_REPORT_REMOVED, object_, Result.OK, "retention", {}, agreement_id, once=once
    )


def is_of_report(pickup: Pickup) -> bool:
    """Whether what a recipient read is a report, and not a file of a delivery."""
    names = pickup.path.split("/")
    return len(names) == 3 and names[1] == AREA


def record_reading(services: Services, pickup: Pickup, line: bytes) -> int:
    """Record that a report was read; 1, or 0 if this line of the spool was recorded before."""
    agreement_id, _, name = (checked_name(each, "a name") for each in pickup.path.split("/"))
    once = sha256_hex(line)
    with writing(services.engine) as connection:
        if find_once(connection, once) is not None:
            return 0
        services.ledger.record(
            Action.PARTICIPANTS_READ,
            f"participants:{agreement_id}/{name}",
            Result.OK,
            pickup.recipient,
            pickup.model_dump(mode="json", include=_TOLD),
            agreement_id,
            once=once,
            connection=connection,
        )
    return 1
