"""The keys that a delivery may be sealed to: allowed by the agreement's signer, proven, valid now, and not revoked."""

from __future__ import annotations

from datetime import datetime

from agreements import registry
from agreements.standing import KeyPurpose, RecipientKey, Standing
from core.database import reading
from core.errors import KeyNotProven, KeyUnusable
from flows.steps.rotation import keys_signed_in
from flows.wiring import Services
from keys.kinds import SealingKey, parse_sealing_key
from schemas.agreement import Agreement

_TOLD = 3  # reasons in one sentence


def usable_keys(services: Services, agreement: Agreement) -> list[SealingKey]:
    """All keys that may be sealed to at this moment; not all of them need fit in one file.

    `KeyNotProven` when there is none and a proof would mend that, otherwise `KeyUnusable`; with a reason for each key.
    """
    now = services.clock()
    with reading(services.engine) as connection:
        known = registry.keys_of(connection, agreement.recipient)
        rotations = registry.rotations_of(connection, agreement.recipient)
    stored = {key.fingerprint: key for key in known if key.purpose is KeyPurpose.SEAL}
    keys: list[SealingKey] = []
    reasons: list[str] = []
    not_proven = False
    for fingerprint in keys_signed_in(agreement, known, rotations, now):
        key = stored.get(fingerprint)
        found = f"key {fingerprint} is not registered: run gla keys add" if key is None else _usable(key, now)
        if isinstance(found, str):
            reasons.append(found)
            not_proven |= key is not None and key.standing(now) is Standing.NOT_PROVEN
        else:
            keys.append(found)
    if keys:
        return keys
    more = f"; and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    failure = KeyNotProven if not_proven else KeyUnusable
    raise failure(
        f"agreement {agreement.id}: nothing can be sealed to {agreement.recipient}: {'; '.join(reasons[:_TOLD])}{more}"
    )


def _usable(stored: RecipientKey, now: datetime) -> SealingKey | str:
    """The key, or why not. A row may have been changed; the fingerprint, which was signed, is the key's own."""
    if stored.standing(now) is not Standing.VALID:
        return f"key {stored.fingerprint} {stored.what_to_do(now)}"
    try:
        key = parse_sealing_key(stored.public_key)
        key.check(now)
    except KeyUnusable as error:
        return str(error)
    if key.fingerprint != stored.fingerprint:
        return f"key {stored.fingerprint} is not the key that was registered: register it again"
    return key
