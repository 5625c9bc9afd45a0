"""Keeps organisations and their public keys, and how these are proven, inside the caller's transaction.

A row here is no authority: an agreement names the keys that may be sealed to, or who named them signed a new one in
(`rotations`). A row can only stop a key. `standing` says what it may be used for; nothing here checks signatures.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from agreements.standing import KeyPurpose, ProvenBy, RecipientKey
from agreements.tables import key_challenges, key_rotations, recipient_keys, recipients
from core.clock import to_rfc3339
from core.errors import UnusableInput


@dataclass(frozen=True)
class NewKey:
    """A public key as it is to be registered; without dates it is valid from now on, until it is revoked."""

    fingerprint: str
    purpose: KeyPurpose
    kind: str
    public_key: str
    valid_from: datetime | None = None
    valid_until: datetime | None = None


@dataclass(frozen=True)
class StoredChallenge:
    """A challenge as it was recorded; the secret itself is not kept."""

    id: str
    fingerprint: str
    recipient: str
    digest: str | None
    rotation: str | None
    expires_at: str
    used: bool


@dataclass(frozen=True)
class Rotation:
    """A new key that somebody signed in, not verified: the bytes and the signature say whether it counts."""

    id: str
    recipient: str
    old_fingerprint: str
    new_fingerprint: str
    signer: str
    statement: bytes
    signature: str
    proven: bool = False


def add_recipient(connection: Connection, name: str, kvk: str, now: datetime) -> None:
    """Register an organisation by its drop zone name; `UnusableInput` when the name is taken by another KvK number."""
    known = connection.execute(select(recipients.c.kvk).where(recipients.c.name == name)).scalar()
    if known is None:
        connection.execute(insert(recipients).values(name=name, kvk=kvk, added_at=to_rfc3339(now)))
    elif known != kvk:
        raise UnusableInput(f"recipient {name} is registered with another KvK number: choose another name")


def list_recipients(connection: Connection) -> list[tuple[str, str]]:
    """(name, KvK number) of every organisation, by name."""
    rows = connection.execute(select(recipients.c.name, recipients.c.kvk).order_by(recipients.c.name))
    return [(row.name, row.kvk) for row in rows]


def check_recipient(connection: Connection, name: str) -> None:
    """`UnusableInput` if there is no such organisation."""
    if connection.execute(select(recipients.c.name).where(recipients.c.name == name)).scalar() is None:
        raise UnusableInput(f"there is no recipient {name[:60]!r}: run gla recipient list")


def add_key(connection: Connection, recipient: str, key: NewKey, now: datetime) -> RecipientKey:
    """Register a public key, or give a known one other dates; `UnusableInput` if it is another's, or revoked."""
    known = find_key(connection, key.fingerprint)
    if known and (known.recipient != recipient or known.revoked):
        raise UnusableInput(f"key {key.fingerprint} is revoked or belongs to another organisation: use a new key")
    dates: dict[str, str | None] = {}
    if key.valid_from or not known:
        dates["valid_from"] = to_rfc3339(key.valid_from or now)
    if key.valid_until:
        dates["valid_until"] = to_rfc3339(key.valid_until)
    if known:
        same_key = recipient_keys.c.fingerprint == key.fingerprint
        connection.execute(update(recipient_keys).where(same_key).values(public_key=key.public_key, **dates))
    else:
        row = {"fingerprint": key.fingerprint, "purpose": key.purpose, "kind": key.kind, "public_key": key.public_key}
        connection.execute(insert(recipient_keys).values(recipient=recipient, added_at=to_rfc3339(now), **row, **dates))
    return key_of(connection, recipient, key.fingerprint)


def set_proven(connection: Connection, fingerprint: str, how: ProvenBy, now: datetime) -> None:
    """Record who showed that they hold the key; the first proof stays."""
    unproven = (recipient_keys.c.fingerprint == fingerprint) & recipient_keys.c.proven_at.is_(None)
    connection.execute(update(recipient_keys).where(unproven).values(proven_at=to_rfc3339(now), proven_by=how))


def begin_key(connection: Connection, fingerprint: str, first: datetime, now: datetime) -> None:
    """Let a key that is not valid yet be so from another moment; one that is in use stays so."""
    still_to_come = (recipient_keys.c.fingerprint == fingerprint) & (recipient_keys.c.valid_from > to_rfc3339(now))
    connection.execute(update(recipient_keys).where(still_to_come).values(valid_from=to_rfc3339(first)))


def limit_key(connection: Connection, fingerprint: str, until: datetime) -> None:
    """Let a key expire at a moment, unless it does so before."""
    later = recipient_keys.c.valid_until.is_(None) | (recipient_keys.c.valid_until > to_rfc3339(until))
    same_key = recipient_keys.c.fingerprint == fingerprint
    connection.execute(update(recipient_keys).where(same_key & later).values(valid_until=to_rfc3339(until)))


def revoke_key(connection: Connection, recipient: str, fingerprint: str, now: datetime) -> None:
    """Stop all use of a key from now on; `UnusableInput` when the organisation has no such key."""
    if not key_of(connection, recipient, fingerprint).revoked:
        statement = update(recipient_keys).where(recipient_keys.c.fingerprint == fingerprint)
        connection.execute(statement.values(revoked_at=to_rfc3339(now)))
        _forget_challenges(connection, fingerprint)


def keys_of(connection: Connection, recipient: str) -> list[RecipientKey]:
    """All keys of an organisation, revoked ones too, oldest first."""
    return _keys(connection, recipient_keys.c.recipient == recipient)


def key_of(connection: Connection, recipient: str, fingerprint: str) -> RecipientKey:
    """One key of an organisation, or `UnusableInput`."""
    key = find_key(connection, fingerprint)
    if key is None or key.recipient != recipient:
        raise UnusableInput(f"recipient {recipient} has no key {fingerprint[:75]!r}: run gla keys list")
    return key


def find_key(connection: Connection, fingerprint: str) -> RecipientKey | None:
    return next(iter(_keys(connection, recipient_keys.c.fingerprint == fingerprint)), None)


def expiring_keys(connection: Connection, before: datetime) -> list[RecipientKey]:
    """Keys of everyone that are not revoked and expire before a moment, or did so already."""
    return _keys(connection, recipient_keys.c.valid_until <= to_rfc3339(before), recipient_keys.c.revoked_at.is_(None))


def add_challenge(connection: Connection, challenge: StoredChallenge) -> None:
    """Record a challenge to a key; one that was open before is void."""
    _forget_challenges(connection, challenge.fingerprint)
    row = {name: value for name, value in vars(challenge).items() if name not in ("recipient", "used")}
    connection.execute(insert(key_challenges).values(**row))


def find_challenge(connection: Connection, challenge_id: str) -> StoredChallenge | None:
    return next(iter(_challenges(connection, key_challenges.c.id == challenge_id)), None)


def challenges_to(connection: Connection, fingerprint: str) -> list[StoredChallenge]:
    """Every challenge to one key, used ones too."""
    return _challenges(connection, key_challenges.c.fingerprint == fingerprint)


def open_challenges(connection: Connection, now: datetime) -> set[str]:
    """The ids of all challenges that can still prove something."""
    still_open = key_challenges.c.used_at.is_(None) & (key_challenges.c.expires_at > to_rfc3339(now))
    return set(connection.execute(select(key_challenges.c.id).where(still_open)).scalars())


def use_challenge(connection: Connection, challenge_id: str, now: datetime) -> None:
    """From now on it proves nothing any more."""
    same = key_challenges.c.id == challenge_id
    connection.execute(update(key_challenges).where(same).values(used_at=to_rfc3339(now)))


def add_rotation(connection: Connection, rotation: Rotation, now: datetime) -> Rotation:
    """Record what was signed. The same key signed in again by the same signer replaces what was not confirmed yet."""
    same = (
        (key_rotations.c.old_fingerprint == rotation.old_fingerprint)
        & (key_rotations.c.new_fingerprint == rotation.new_fingerprint)
        & (key_rotations.c.signer == rotation.signer)
    )
    known = _rotations(connection, same)
    if not known:
        values = {name: value for name, value in vars(rotation).items() if name != "proven"}
        connection.execute(insert(key_rotations).values(recorded_at=to_rfc3339(now), **values))
    elif not known[0].proven:
        signed = {"statement": rotation.statement, "signature": rotation.signature}
        connection.execute(update(key_rotations).where(same).values(**signed))
    return _rotations(connection, same)[0]


def get_rotation(connection: Connection, rotation_id: str) -> Rotation:
    """A rotation that a challenge is about, so there is one."""
    return _rotations(connection, key_rotations.c.id == rotation_id)[0]


def set_rotation_proven(connection: Connection, rotation_id: str, now: datetime) -> Rotation:
    """The holder of the old and the new key confirmed it: from now on it counts."""
    same = key_rotations.c.id == rotation_id
    connection.execute(update(key_rotations).where(same).values(proven_at=to_rfc3339(now)))
    return get_rotation(connection, rotation_id)


def rotations_of(connection: Connection, recipient: str) -> list[Rotation]:
    """Everything that was signed in for an organisation, oldest first."""
    return _rotations(connection, key_rotations.c.recipient == recipient)


def _rotations(connection: Connection, condition: Any) -> list[Rotation]:
    oldest_first = (key_rotations.c.recorded_at, key_rotations.c.id)
    rows = connection.execute(select(key_rotations).where(condition).order_by(*oldest_first))
    return [
        Rotation(
            row.id,
            row.recipient,
            row.old_fingerprint,
            row.new_fingerprint,
            row.signer,
            bytes(row.statement),
            row.signature,
            bool(row.proven_at),
        )
        for row in rows
    ]


def _forget_challenges(connection: Connection, fingerprint: str) -> None:
    unused = key_challenges.c.used_at.is_(None)
    connection.execute(delete(key_challenges).where((key_challenges.c.fingerprint == fingerprint) & unused))


def _challenges(connection: Connection, condition: Any) -> list[StoredChallenge]:
    joined = key_challenges.join(recipient_keys)
    rows = connection.execute(select(key_challenges, recipient_keys.c.recipient).select_from(joined).where(condition))
    return [
        StoredChallenge(
            row.id, row.fingerprint, row.recipient, row.digest, row.rotation, row.expires_at, bool(row.used_at)
        )
        for row in rows
    ]


def _keys(connection: Connection, *conditions: Any) -> list[RecipientKey]:
    oldest_first = (recipient_keys.c.added_at, recipient_keys.c.fingerprint)
    rows = connection.execute(select(recipient_keys).where(*conditions).order_by(*oldest_first))
    return [
        RecipientKey(
            row.fingerprint,
            row.recipient,
            KeyPurpose(row.purpose),
            row.kind,
            row.public_key,
            row.valid_from,
            row.valid_until,
            row.proven_at,
            row.proven_by and ProvenBy(row.proven_by),
            row.revoked_at,
        )
        for row in rows
    ]
