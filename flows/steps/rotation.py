"""A recipient replaces its key by itself: it signs a statement with the SSH key that signed its agreements.

A statement counts once the holder of both keys answered its challenge, and then only for agreements whose signer signed
it: that is verified from the kept bytes and signature whenever a delivery is sealed or published, see `keys_signed_in`.
The new key is of the form of the old one, and never weaker: everything else is a new agreement.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy import Connection

from agreements import registry
from agreements.registry import NewKey, Rotation
from agreements.standing import KeyPurpose, RecipientKey, Standing
from core.clock import dutch_date, dutch_midnight, to_rfc3339
from core.database import reading, writing
from core.errors import GlaError, KeyUnusable, SignerUnknown, UnusableInput
from core.ids import new_id
from flows.steps.key_events import tell
from flows.steps.possession import Challenge, challenge_to_seal_key, write_challenges
from flows.steps.recipients import as_registered
from flows.wiring import Services
from keys.kinds import SealingKey, parse_sealing_key
from keys.sshsig import Namespace, verify, verify_by
from ledger.vocabulary import Action, Result
from schemas.agreement import Agreement
from schemas.rotation import RotationStatement


@dataclass(frozen=True)
class Replacement:
    """What was recorded: the new key, and the challenge that its holder answers (none if that was done before)."""

    old_fingerprint: str
    key: SealingKey
    valid_from: date
    challenge: Challenge | None


def rotate(services: Services, recipient: str, statement: bytes, signature: str, actor: str = "") -> Replacement:
    """Record a signed statement and challenge the holder of both keys; until it is answered, nothing changes.

    `UnusableInput` or `KeyUnusable` for a statement that cannot be followed, `SignerUnknown`, which is recorded too,
    for one that is not signed by a key of the recipient.
    """
    said = RotationStatement.from_bytes(statement)
    if said.recipient != recipient:
        raise UnusableInput(f"recipient {recipient}: the statement is of another recipient")
    signer = _signer(services, recipient, statement, signature, actor)
    old, new = _both_keys(services, said)
    rotation = Rotation(new_id(), recipient, said.old_fingerprint, new.fingerprint, signer, statement, signature)
    challenge = challenge_to_seal_key(services, recipient, new, old)
    with writing(services.engine) as connection:
        now = services.clock()
        stored = registry.add_key(connection, recipient, _to_register(connection, new, said.valid_from), now)
        rotation = registry.add_rotation(connection, rotation, now)
        if not rotation.proven:
            registry.add_challenge(connection, replace(challenge.stored, rotation=rotation.id))
        first = to_rfc3339(dutch_midnight(said.valid_from))
        detail = {"old": said.old_fingerprint, "new": stored.fingerprint, "signer": signer, "from": first}
        tell(services, connection, Action.KEY_ROTATED, recipient, actor, detail, Result.INTENDED)
    write_challenges(services, [] if rotation.proven else [challenge])
    return Replacement(said.old_fingerprint, new, said.valid_from, None if rotation.proven else challenge)


def keys_signed_in(
    agreement: Agreement, known: Iterable[RecipientKey], rotations: Iterable[Rotation], now: datetime
) -> tuple[str, ...]:
    """The fingerprints that may be sealed to: those that the agreement names, and those that its signer put after them.

    A statement by a signing key that was revoked since counts for nothing.
    """
    signers = {key.fingerprint for key in known if key.purpose is KeyPurpose.SIGN and not key.revoked}
    allowed = list(agreement.recipient_keys)
    if agreement.recipient_signer not in signers:
        return tuple(allowed)
    counting = [each for each in rotations if each.proven and _counts(each, agreement, now)]
    while new := [each for each in counting if each.old_fingerprint in allowed and each.new_fingerprint not in allowed]:
        allowed.append(new[0].new_fingerprint)
    return tuple(allowed)


def statement_of(recipient: str, old_fingerprint: str, new_key: SealingKey, valid_from: date) -> bytes:
    """The bytes that a recipient signs."""
    return RotationStatement(
        recipient=recipient, old_fingerprint=old_fingerprint, new_public_key=str(new_key), valid_from=valid_from
    ).to_bytes()


def _to_register(connection: Connection, new: SealingKey, first: date) -> NewKey:
    """A key that is known stays as it is: who sent the statement may hold neither key."""
    known = registry.find_key(connection, new.fingerprint)
    if known is not None:
        return NewKey(known.fingerprint, known.purpose, known.kind, known.public_key)
    return NewKey(new.fingerprint, KeyPurpose.SEAL, new.kind, str(new), dutch_midnight(first), new.not_after)


def _counts(rotation: Rotation, agreement: Agreement, now: datetime) -> bool:
    """Whether the bytes say what the row says, for this agreement and this day, signed by who assented."""
    try:
        verify_by(rotation.signature, rotation.statement, Namespace.ROTATION, agreement.recipient_signer)
        said = RotationStatement.from_bytes(rotation.statement)
        new = parse_sealing_key(said.new_public_key)
    except Exception:  # noqa: BLE001 - whatever is wrong with what was kept, it brings no key in
        return False
    return (said.recipient, said.old_fingerprint, new.fingerprint) == (
        agreement.recipient,
        rotation.old_fingerprint,
        rotation.new_fingerprint,
    ) and said.valid_from <= dutch_date(now)


def _signer(services: Services, recipient: str, statement: bytes, signature: str, actor: str) -> str:
    """The fingerprint of the recipient's key that signed; a refusal is recorded."""
    refusal: GlaError | None = None
    with writing(services.engine) as connection:
        registry.check_recipient(connection, recipient)
        keys = registry.keys_of(connection, recipient)
        valid = {key.fingerprint for key in keys if key.may_sign(services.clock())}
        try:
            signer = verify(signature, statement, Namespace.ROTATION).fingerprint
        except SignerUnknown:
            signer = ""
        if signer not in valid:
            refusal = SignerUnknown(
                f"recipient {recipient}: the statement is not signed by a valid SSH key of theirs, with the namespace "
                f"{Namespace.ROTATION}"
            )
            detail = {"error": refusal.code, "message": str(refusal)}
            tell(services, connection, Action.KEY_ROTATED, recipient, actor, detail, Result.REFUSED)
    if refusal is not None:
        raise refusal
    return signer


def _both_keys(services: Services, said: RotationStatement) -> tuple[SealingKey, SealingKey]:
    """The key that is replaced, which must be usable now, and the new one."""
    now = services.clock()
    given = parse_sealing_key(said.new_public_key)
    with reading(services.engine) as connection:
        stored = registry.key_of(connection, said.recipient, said.old_fingerprint)
        known = registry.find_key(connection, given.fingerprint)
    if stored.purpose is not KeyPurpose.SEAL or stored.standing(now) is not Standing.VALID:
        raise KeyUnusable(
            f"key {stored.fingerprint} cannot be replaced by a statement: it is {stored.standing(now)} or not for "
            "sealing: offer a new agreement that names the new key"
        )
    if known is not None and known.standing(now) is Standing.EXPIRED:
        raise KeyUnusable(
            f"key {known.fingerprint} replaces no other: it was valid until {known.last_day()}; register it with other "
            "dates (gla keys add), or let the statement name a new key"
        )
    old, new = parse_sealing_key(stored.public_key), as_registered(given, known)
    for key in (old, new):
        key.check(now)
    if new.fingerprint == old.fingerprint:
        raise UnusableInput(f"recipient {said.recipient}: the statement names the same key twice")
    if new.form != old.form or (old.is_hybrid and not new.is_hybrid):
        raise KeyUnusable(
            f"key {new.fingerprint} ({new.kind}) is of another sort, or weaker, than the {old.kind} key that it "
            "replaces: offer a new agreement that names it"
        )
    return old, new
