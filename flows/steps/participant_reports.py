"""Our signed report on a participants file, in the recipient's own place in the drop zone.

`deliveries/AGREEMENT/participants/set-000001.json` on a file that made set 1, `TIME-refused.json` on one that changed
nothing; beside each the signature, by the key that signs deliveries, namespace `gla-participants`.
"""

from __future__ import annotations

from core.canonical import sha256_hex
from core.database import writing
from core.files import write_file
from core.ids import checked_name
from flows.steps.staging import disk_errors
from flows.wiring import Services
from keys.private.custody import Role
from keys.sshsig import Namespace
from ledger.events import find_once
from ledger.vocabulary import Action, Result
from schemas.accounts import Pickup
from schemas.agreement import Agreement
from schemas.participants import AREA, ParticipantsReport

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
