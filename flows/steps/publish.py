"""Step 5: staged ciphertext appears at the destination as a whole, read back and compared first; or not at all."""

from __future__ import annotations

from pathlib import Path

from core.errors import DeliveryStateError, ReadBackMismatch
from flows.steps.order import Order
from flows.steps.seal import Sealed
from flows.steps.staging import sealed_folder
from flows.wiring import Services
from ledger.deliveries import Claim
from schemas.agreement import Agreement
from transports.base import Receipt
from transports.publishing import publish as publish_folder


def folder_of(agreement_id: str, period: str, edition: int) -> str:
    """Where a delivery stands below the recipient's own folder; names only, see `core.ids`."""
    return f"{agreement_id}/{period}/edition-{edition}"


def publish(
    services: Services, agreement: Agreement, order: Order, claim: Claim, sealed: Sealed
) -> tuple[Receipt, ...]:
    """Put exactly the recorded bytes at the agreed destination. Doing it again changes nothing."""
    folder = sealed_folder(services.settings.staging_dir, claim.id, sealed.token)
    paths: dict[str, Path] = {name: folder / name for name in sealed.files}
    if not all(path.is_file() for path in paths.values()):
        raise DeliveryStateError(f"delivery {order.name}: the sealed bytes are no longer kept: use mode correct")
    with services.open_destination(agreement) as transport:
        receipts = publish_folder(
            transport, paths, folder_of(agreement.id, str(order.period), claim.delivery.edition), claim.id
        )
    landed = {receipt.name.rsplit("/", 1)[-1]: (receipt.size, receipt.sha256) for receipt in receipts}
    if landed != sealed.files:
        raise ReadBackMismatch(
            f"delivery {order.name}: what landed is not what was sealed: check the destination's disk"
        )
    return receipts
