"""Keeps organisations, public keys and agreements. Writes what `rules` allow, inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from agreements.rules import AgreementState, check_transition
from agreements.tables import agreements, recipient_keys, recipients
from core.clock import to_rfc3339
from core.errors import AgreementStateError, UnusableInput
from schemas.agreement import Agreement


class KeyPurpose(StrEnum):
    SEAL = "seal"
    SIGN = "sign"


@dataclass(frozen=True)
class RecipientKey:
    """A public key of an organisation; `revoked` keys stay listed and are never used."""

    fingerprint: str
    recipient: str
    purpose: KeyPurpose
    public_key: str
    revoked: bool


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


def add_recipient(connection: Connection, name: str, kvk: str, now: datetime) -> None:
    """Register an organisation by its drop zone name; `UnusableInput` when the name is taken by another KvK number."""
    known = connection.execute(select(recipients.c.kvk).where(recipients.c.name == name)).scalar()
    if known is None:
        connection.execute(insert(recipients).values(name=name, kvk=kvk, added_at=to_rfc3339(now)))
    elif known != kvk:
        raise UnusableInput(f"recipient {name} is registered with another KvK number: choose another name")


def add_key(
    connection: Connection, recipient: str, purpose: KeyPurpose, public_key: str, fingerprint: str, now: datetime
) -> None:
    """Register a public key; `UnusableInput` when another organisation has it, or it was revoked."""
    known = _keys(connection, recipient_keys.c.fingerprint == fingerprint)
    if known and (known[0].recipient != recipient or known[0].revoked):
        raise UnusableInput(f"key {fingerprint} is revoked or belongs to another organisation: use a new key")
    if not known:
        row = {"fingerprint": fingerprint, "recipient": recipient, "purpose": purpose, "public_key": public_key}
        connection.execute(insert(recipient_keys).values(**row, added_at=to_rfc3339(now)))


def revoke_key(connection: Connection, recipient: str, fingerprint: str, now: datetime) -> None:
    """Stop all use of a key from now on; `UnusableInput` when the organisation has no such key."""
    known = _keys(connection, recipient_keys.c.fingerprint == fingerprint, recipient_keys.c.recipient == recipient)
    if not known:
        raise UnusableInput(f"recipient {recipient} has no key {fingerprint[:60]!r}: run gla recipient list")
    if not known[0].revoked:
        statement = update(recipient_keys).where(recipient_keys.c.fingerprint == fingerprint)
        connection.execute(statement.values(revoked_at=to_rfc3339(now)))


def keys_of(connection: Connection, recipient: str) -> list[RecipientKey]:
    """All keys of an organisation, revoked ones too, oldest first."""
    return _keys(connection, recipient_keys.c.recipient == recipient)


def list_recipients(connection: Connection) -> list[tuple[str, str]]:
    """(name, KvK number) of every organisation, by name."""
    rows = connection.execute(select(recipients.c.name, recipients.c.kvk).order_by(recipients.c.name))
    return [(row.name, row.kvk) for row in rows]


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


def _keys(connection: Connection, *conditions: Any) -> list[RecipientKey]:
    oldest_first = (recipient_keys.c.added_at, recipient_keys.c.fingerprint)
    rows = connection.execute(select(recipient_keys).where(*conditions).order_by(*oldest_first))
    return [
        RecipientKey(row.fingerprint, row.recipient, KeyPurpose(row.purpose), row.public_key, bool(row.revoked_at))
        for row in rows
    ]


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
