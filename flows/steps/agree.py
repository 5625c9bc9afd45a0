"""Step 1: the agreement decides. Load it and verify digest, both signatures, dates and revocation.

Called at the start, before sealing is recorded, and again before publication, so that a revocation stops a running
delivery. Nothing here trusts a database row: our seal is checked against the key in our settings, and the recipient's
assent against the fingerprint that the sealed document names.
"""

from __future__ import annotations

from agreements import rules, store
from core.canonical import sha256_hex
from core.clock import dutch_date
from core.database import reading
from core.errors import AgreementAltered, GlaError, SignerUnknown
from flows.wiring import Services
from keys.private.custody import Role
from keys.sshsig import Namespace, verify_by
from schemas.agreement import Agreement, load_agreement


def agree(services: Services, agreement_id: str) -> Agreement:
    """The agreement, in force and signed by both; an `AgreementError` or `SignerUnknown` says why not."""
    with reading(services.engine) as connection:
        stored = store.get(connection, agreement_id)
    agreement = verify_stored(services, stored)
    rules.check_in_force(agreement, stored.state, dutch_date(services.clock()))
    return agreement


def verify_stored(services: Services, stored: store.StoredAgreement) -> Agreement:
    """Check bytes and signatures only; says nothing about dates or state."""
    agreement = unaltered(stored)
    seal = services.custody.public_key(Role.AGREEMENT_SEAL)
    _check_signature(stored, "our seal", stored.sender_signature, seal.fingerprint)
    if stored.recipient_signature is None:
        raise SignerUnknown(f"agreement {stored.id} has no assent of {stored.recipient}: run gla agreement accept")
    _check_signature(stored, "the recipient's assent", stored.recipient_signature, agreement.recipient_signer)
    if agreement.recipient_signer == seal.fingerprint:
        raise SignerUnknown(f"agreement {stored.id} names our own key as the recipient's: offer it with theirs")
    if agreement.sender_key != services.custody.public_key(Role.MANIFEST).line:
        raise SignerUnknown(f"agreement {stored.id} names another sender key than ours: offer it again")
    return agreement


def unaltered(stored: store.StoredAgreement) -> Agreement:
    """The agreement in the bytes that were offered; nothing is said of signatures. `AgreementAltered` if not."""
    if sha256_hex(stored.document) == stored.digest:
        try:
            agreement = load_agreement(stored.document)
        except GlaError:
            agreement = None
        if agreement and (agreement.canonical, agreement.id, agreement.recipient) == (
            stored.document,
            stored.id,
            stored.recipient,
        ):
            return agreement
    raise AgreementAltered(f"agreement {stored.id} is not the document that was offered: restore it or offer it again")


def _check_signature(stored: store.StoredAgreement, whose: str, signature: str, fingerprint: str) -> None:
    try:
        verify_by(signature, stored.document, Namespace.AGREEMENT, fingerprint)
    except SignerUnknown:
        failed = True
    else:
        failed = False
    if failed:
        raise SignerUnknown(f"agreement {stored.id}: {whose} is not a valid signature by {fingerprint}: sign it again")
