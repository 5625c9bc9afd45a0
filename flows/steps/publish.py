"""Step 5: staged ciphertext appears at the destination as a whole, read back and compared first; or not at all.

Nothing here trusts a database row. What may appear is what our own signed manifest in the staging folder lists, and
only if it was made for this agreement, recipient, period and edition.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import DeliveryStateError, GlaError, KeyUnusable
from core.files import write_file
from flows.steps.agree import agree
from flows.steps.mutations.chain import check_place
from flows.steps.order import Order, delivery_folder
from flows.steps.participants import check_still_participants
from flows.steps.retention import require_time_left
from flows.steps.seal import Sealed
from flows.steps.sealing_keys import usable_keys
from flows.steps.signatures import signed_manifest
from flows.steps.staging import disk_errors, sealed_folder
from flows.wiring import Services
from ledger.deliveries import Claim
from schemas.agreement import Agreement
from schemas.manifest import BESIDE, MANIFEST_NAME
from transports.base import Destination, Receipt
from transports.publishing import publish as publish_folder
from transports.publishing import recognise


def publish(
    services: Services, agreement: Agreement, order: Order, claim: Claim, sealed: Sealed
) -> tuple[Receipt, ...]:
    """Put exactly the recorded bytes at the agreed destination. Doing it again changes nothing.

    Sending may take hours, so just before the delivery appears everything is asked once more: is the agreement in
    force, are the keys valid that it was sealed to, has it time left, is everyone that it may be about still a
    participant, is the delivery still ours, is what landed what was recorded? Where it stands there already none of
    that can change what its recipient sees: it is only left to record.
    """
    names = sorted(sealed.files, key=lambda it: it == MANIFEST_NAME)
    folder = sealed_folder(services.settings.staging_dir, claim.id, sealed.token)
    target = delivery_folder(agreement.id, str(order.period), claim.delivery.edition)

    def approve(receipts: tuple[Receipt, ...]) -> None:
        if {receipt.name: (receipt.size, receipt.sha256) for receipt in receipts} != sealed.files:
            raise _unusable(order)
        check_keys(services, agree(services, agreement.id), sealed)
        require_time_left(services, order.name, sealed.expires_at)
        check_still_participants(services, agreement, claim)
        services.ledger.heartbeat(claim)
        check_place(services, claim, sealed)

    with services.open_destination(agreement) as transport:
        recorded = tuple(Receipt(name, *sealed.files[name]) for name in names)
        if sealed.token != claim.token and recognise(transport, recorded, target):  # an attempt before this one put it
            _bring_back(transport, target, folder, sealed)
            _check_manifest(services, agreement, order, claim, sealed, folder)
            services.ledger.heartbeat(claim)
            return recorded
        require_publishable(services, agreement, order, claim, sealed)
        paths = {name: folder / name for name in names}
        token = f"{claim.id}{claim.token}"
        return publish_folder(transport, paths, target, token, approve, lambda: services.ledger.heartbeat(claim))


def require_publishable(services: Services, agreement: Agreement, order: Order, claim: Claim, sealed: Sealed) -> None:
    """Whether what is sealed may be published now, asked before anything is changed or sent; an error says why not."""
    folder = sealed_folder(services.settings.staging_dir, claim.id, sealed.token)
    _check_manifest(services, agreement, order, claim, sealed, folder)
    if not all((folder / name).is_file() for name in sealed.files):
        raise _unusable(order)
    require_time_left(services, order.name, sealed.expires_at)
    check_keys(services, agreement, sealed)
    check_still_participants(services, agreement, claim)


def check_keys(services: Services, agreement: Agreement, sealed: Sealed) -> None:
    """`KeyUnusable` if a key was revoked after the delivery was sealed to it: whoever has it could read it."""
    valid = {key.fingerprint for key in usable_keys(services, agreement)}
    if not valid.issuperset(sealed.keys):
        raise KeyUnusable(
            f"agreement {agreement.id}: a key that this delivery is sealed to was revoked or expired since: use mode "
            "correct, which seals to the valid keys only"
        )


def _check_manifest(
    services: Services, agreement: Agreement, order: Order, claim: Claim, sealed: Sealed, folder: Path
) -> None:
    try:
        manifest = signed_manifest(services.custody, agreement, folder)
    except (OSError, ValueError, GlaError):
        manifest = None
    if manifest is None:
        raise _unusable(order)
    found = (manifest.context_id, manifest.agreement, manifest.agreement_digest, manifest.recipient, manifest.period)
    asked = (claim.id, agreement.id, agreement.digest, agreement.recipient, str(order.period))
    listed = {file.filename: (file.size, file.checksum) for file in manifest.files}
    recorded = {name: it for name, it in sealed.files.items() if name not in BESIDE}
    if (*found, manifest.edition) != (*asked, claim.delivery.edition) or listed != recorded:
        raise _unusable(order)


def _bring_back(transport: Destination, target: str, folder: Path, sealed: Sealed) -> None:
    """The manifest and its signatures are needed here and may be lost; those that stand there are the recorded ones."""
    for name in BESIDE:
        if name in sealed.files and not (folder / name).exists():
            with disk_errors():
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_file(folder / name, b"".join(transport.read(f"{target}/{name}")), mode=0o600)


def _unusable(order: Order) -> DeliveryStateError:
    return DeliveryStateError(
        f"delivery {order.name}: the sealed bytes are no longer kept as they were recorded: use mode correct"
    )
