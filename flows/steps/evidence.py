"""One file that proves a delivery to somebody who trusts only public keys: agreement, verdict, manifest, publication,
receipts, and that all of it stands in the ledger. docs/evidence.md describes the file; `evidence_check` judges it.

It holds no value from the data, and nothing of other deliveries: of their events only hashes, which tell nothing, since
each has random bytes in it.
"""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

from agreements import store
from core.canonical import canonical_json
from core.database import reading
from core.errors import ManifestInvalid, UnusableInput
from core.files import write_file
from core.period import Period
from flows.steps.agree import verify_stored
from flows.steps.seal import Sealed
from flows.steps.signatures import signed_manifest
from flows.steps.staging import disk_errors, sealed_folder
from flows.wiring import Services
from keys import notes
from keys.roles import Role
from ledger.checkpoints import Checkpoint, parse_checkpoint, read_notes, verified_checkpoint
from ledger.deliveries import Claim, Delivery
from ledger.events import Event, has_any
from ledger.leaves import body_json
from ledger.tree import Tree
from ledger.vocabulary import Action
from schemas.agreement import Agreement
from schemas.manifest import MANIFEST_NAME, PQ_SIGNATURE_NAME, SIGNATURE_NAME

FORMAT = "gla-evidence-v1"
ROLES = (Role.AGREEMENT_SEAL, Role.MANIFEST, Role.MANIFEST_MLDSA, Role.LEDGER)
_OF_RECIPIENT = (Action.DELIVERY_PICKED_UP, Action.DELIVERY_CONFIRMED, Action.DELIVERY_REJECTED)
_TOLD = (*_OF_RECIPIENT, Action.DELIVERY_PUBLISHED, Action.DELIVERY_REMOVED)
_KEPT = (MANIFEST_NAME, SIGNATURE_NAME, PQ_SIGNATURE_NAME)


def keep(services: Services, claim: Claim, sealed: Sealed) -> None:
    """Keep the manifest and its signatures for later; what is staged goes when the delivery is over."""
    staged, kept = sealed_folder(services.settings.staging_dir, claim.id, sealed.token), folder_of(services, claim.id)
    with disk_errors():
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in _KEPT:
            if name in sealed.files:
                write_file(kept / name, (staged / name).read_bytes(), mode=0o600)


def folder_of(services: Services, delivery_id: str) -> Path:
    """Where the manifest of a delivery is kept."""
    return _root(services) / delivery_id


def folders(services: Services) -> list[Path]:
    """Those of all deliveries of which it is kept."""
    return list(_root(services).glob("[0-9a-f]*"))


def _root(services: Services) -> Path:
    return services.settings.home / "evidence"


def forget(services: Services) -> None:
    """Remove what is kept of deliveries whose events were removed by rule: it proves nothing any more."""
    with reading(services.engine) as connection:
        forgotten = [folder for folder in folders(services) if not has_any(connection, folder.name)]
    for folder in forgotten:
        with disk_errors():
            shutil.rmtree(folder)


def export(services: Services, agreement_id: str, period: Period, edition: int) -> bytes:
    """The evidence for one delivery that was published, as canonical JSON. Signs a checkpoint first, over all of it.

    `UnusableInput` if there is no such delivery, or its retention is over; the errors of `agree` if the agreement is
    not what both signed, `LedgerTampered` if the checkpoints are not ours.
    """
    delivery = services.ledger.get(agreement_id, period, edition)
    events = [] if delivery is None else services.ledger.events_of(delivery.id)
    published = [event.body.seq for event in events if event.body.action == Action.DELIVERY_PUBLISHED]
    if delivery is None or not published:
        raise UnusableInput(
            f"delivery {agreement_id}/{period}/{edition} was not published, or its events were removed by rule: gla "
            "history shows what there is"
        )
    services.checkpoint()
    publication, newest = _checkpoints(services, published[0])
    with reading(services.engine) as connection:
        stored = store.get(connection, agreement_id)
        proven = _proven(Tree(connection), _chosen(events), publication[1], newest[1])
    agreement = verify_stored(services, stored)
    document = {
        "format": FORMAT,
        "delivery": delivery.short_name,
        "agreement": {
            "document": stored.document.decode(),
            "senderSignature": stored.sender_signature,
            "recipientSignature": stored.recipient_signature,
        },
        "manifest": _manifest(services, agreement, delivery),
        "keys": services.custody.history().lines(ROLES).decode(),
        "publication": publication[0],
        "newest": newest[0],
        **proven,
    }
    return canonical_json(document) + b"\n"


def _chosen(events: list[Event]) -> list[Event]:
    """The verdict on what was published, the publications, and what became of them."""
    last = max(event.body.seq for event in events if event.body.action == Action.DELIVERY_PUBLISHED)
    verdicts = [it for it in events if it.body.action == Action.DELIVERY_VALIDATED and it.body.seq < last]
    return [*verdicts[-1:], *(event for event in events if event.body.action in _TOLD)]


def _proven(tree: Tree, events: list[Event], publication: Checkpoint, newest: Checkpoint) -> dict[str, Any]:
    """Each event as its leaf has it, with its way to the root of the newest checkpoint; and the way between the two."""
    return {
        "consistency": [node.hex() for node in tree.consistency(publication.size, newest.size)],
        "events": [
            {
                "body": body_json(event.body).decode(),
                "nonce": (event.nonce or b"").hex(),
                "proof": [node.hex() for node in tree.inclusion(event.body.seq, newest.size)],
            }
            for event in events
        ],
    }


def _checkpoints(services: Services, published: int) -> tuple[tuple[str, Checkpoint], tuple[str, Checkpoint]]:
    """The first one that witnesses event `published`, and the newest; both signed by us."""
    first = newest = ""
    for note in read_notes(services.settings.checkpoints_path):
        newest = note
        if not first and _size(note) >= published:
            first = note
    verifier = notes.verifier(services.custody.published(Role.LEDGER))
    return (first, verified_checkpoint(first, verifier)), (newest, verified_checkpoint(newest, verifier))


def _size(note: str) -> int:
    try:
        return parse_checkpoint(note).size
    except ValueError:
        return 0


def _manifest(services: Services, agreement: Agreement, delivery: Delivery) -> dict[str, str | None]:
    folder = folder_of(services, delivery.id)
    try:
        signed_manifest(services.custody, agreement, folder)
        second = folder / PQ_SIGNATURE_NAME
        return {
            "document": (folder / MANIFEST_NAME).read_text(encoding="utf-8"),
            "signature": (folder / SIGNATURE_NAME).read_text(encoding="ascii"),
            "mldsa": base64.b64encode(second.read_bytes()).decode() if second.exists() else None,
        }
    except (OSError, ValueError, ManifestInvalid):
        pass
    raise UnusableInput(f"the manifest of {delivery.name} is not kept as it was signed: restore it from a backup")
