"""The report of a validation in the ledger: recorded there once, and read back by whoever shows it."""

from __future__ import annotations

from core.canonical import parse_json
from core.clock import to_rfc3339
from flows.steps.order import Order
from flows.wiring import Services
from ledger.deliveries import Claim
from ledger.store import Ledger
from ledger.vocabulary import Action, Result
from schemas.agreement import Agreement
from schemas.report import Report, Subject
from schemas.verdict import Verdict


def record_report(services: Services, agreement: Agreement, order: Order, claim: Claim, verdict: Verdict) -> None:
    """Put the report into the ledger, shortened where the contract has very many promises."""
    subject = Subject(
        contract=agreement.id,
        version=agreement.contract.version,
        digest=agreement.digest,
        product=agreement.product,
        recipient=agreement.recipient,
        period=str(order.period),
        edition=claim.delivery.edition,
    )
    report = Report.of(verdict, subject, to_rfc3339(services.clock())).shortened()
    result = Result.OK if report.valid else Result.REFUSED
    services.ledger.note(claim, Action.DELIVERY_VALIDATED, result, {"report": report.as_json()})


def newest_report(ledger: Ledger, delivery_id: str) -> Report | None:
    """What the last validation of a delivery found; None if its data was not judged yet."""
    for event in reversed(ledger.events_of(delivery_id)):
        if event.body.action == Action.DELIVERY_VALIDATED:
            return Report.from_json(parse_json(event.body.detail.encode(), "the ledger's event")["report"])
    return None
