"""Keeps agreements. Writes what `rules` allow, inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agreements.rules import AgreementState, check_transition
from agreements.tables import agreements
from core.clock import to_rfc3339
from core.errors import AgreementStateError, UnusableInput
from schemas.agreement import Agreement


@dataclass(frozen=True)
class StoredAgreement:
    """An agreement as it was recorded, not yet verified."""

    id: str
    recipient: str
    product: str
    state: AgreementState
    digest: str
    document: bytes
    sender_signature: str
    recipient_signature: str | None
    changed_at: str


def put_offer(connection: Connection, agreement: Agreement, sender_signature: str, now: datetime) -> None:
    """Record an offer. An offer that was not yet accepted may be replaced; anything later needs a new id."""
    current = find(connection, agreement.id)
    values: dict[str, Any] = {
        "recipient": agreement.recipient,
        "product": agreement.product,
        "state": AgreementState.OFFERED,
        "digest": agreement.digest,
        "document": agreement.canonical,
        "sender_signature": sender_signature,
        "changed_at": to_rfc3339(now),
    }
    if current is None:
        connection.execute(insert(agreements).values(id=agreement.id, **values))
    elif current.state is AgreementState.OFFERED:
        connection.execute(update(agreements).where(agreements.c.id == agreement.id).values(**values))
    else:
        raise AgreementStateError(f"agreement {agreement.id} is {current.state}: offer the change under a new id")


def change_state(
    connection: Connection, agreement_id: str, wanted: AgreementState, now: datetime, **values: str
) -> StoredAgreement:
    """Move an agreement to `wanted` if the rules allow it, with what comes along (signature, reason)."""
    current = get(connection, agreement_id)
    check_transition(agreement_id, current.state, wanted)
    unchanged = (agreements.c.id == agreement_id) & (agreements.c.state == current.state)
    changed = connection.execute(
        update(agreements).where(unchanged).values(state=wanted, changed_at=to_rfc3339(now), **values)
    )
    if changed.rowcount != 1:
        raise AgreementStateError(f"agreement {agreement_id} was changed by someone else at the same time: try again")
    return get(connection, agreement_id)


def find(connection: Connection, agreement_id: str) -> StoredAgreement | None:
    row = connection.execute(select(agreements).where(agreements.c.id == agreement_id)).one_or_none()
    return None if row is None else _stored(row)


def get(connection: Connection, agreement_id: str) -> StoredAgreement:
    """The stored agreement, or `UnusableInput` that names the command that lists them."""
    stored = find(connection, agreement_id)
    if stored is None:
        raise UnusableInput(f"there is no agreement {agreement_id[:60]!r}: run gla agreement list")
    return stored


def list_agreements(connection: Connection, state: AgreementState | None = None) -> list[StoredAgreement]:
    """All agreements by id, or those in one state."""
    query = select(agreements).order_by(agreements.c.id)
    if state is not None:
        query = query.where(agreements.c.state == state)
    return [_stored(row) for row in connection.execute(query)]


def _stored(row: Row[Any]) -> StoredAgreement:
    return StoredAgreement(
        row.id,
        row.recipient,
        row.product,
        AgreementState(row.state),
        row.digest,
        bytes(row.document),
        row.sender_signature,
        row.recipient_signature,
        row.changed_at,
    )
