"""Step 6: it is in the ledger or it did not happen. Every publication gets a signed checkpoint in a second place."""

from __future__ import annotations

from dataclasses import replace

from flows.steps.evidence import keep
from flows.steps.mutations.chain import forget_states
from flows.steps.seal import Sealed
from flows.wiring import Services
from ledger.deliveries import Claim
from ledger.states import NO_ROWS, State
from ledger.vocabulary import Action
from schemas.agreement import Agreement
from transports.base import Receipt


def record_skipped(services: Services, agreement: Agreement, claim: Claim) -> Claim:
    """Close a delivery that has no rows and is not published: why not is in the history. Then the checkpoint."""
    reason = f"{claim.reason}; {NO_ROWS}" if claim.reason else NO_ROWS
    detail = {"empty": agreement.on_empty, "reason": reason}
    told = replace(claim, reason=reason)
    claim = services.ledger.advance(told, State.SKIPPED, Action.DELIVERY_SKIPPED, detail, rows=0, bytes=0)
    services.checkpoint()
    services.ledger.release(claim)
    return claim


def record(
    services: Services, agreement: Agreement, claim: Claim, sealed: Sealed, receipts: tuple[Receipt, ...]
) -> Claim:
    """Close the delivery: published, what landed where, and the edition before it superseded. Then the checkpoint."""
    detail = {
        "destination": agreement.destination,
        "files": [{"name": receipt.name, "size": receipt.size, "sha256": receipt.sha256} for receipt in receipts],
    }
    keep(services, claim, sealed)
    claim = services.ledger.advance(
        claim, State.PUBLISHED, Action.DELIVERY_PUBLISHED, detail, expires_at=sealed.expires_at
    )
    services.checkpoint()
    forget_states(services, agreement.id)
    services.ledger.release(claim)
    return claim
