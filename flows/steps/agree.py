"""Step 1: the agreement decides. Load it and verify digest, both signatures, dates and revocation.

Called at the start, before sealing is recorded, and again before publication, so that a revocation stops a running
delivery. Nothing here trusts a database row: our seal is checked against the key in our settings and those that led to
it, and the recipient's assent against the fingerprint that the sealed document names.
"""

from __future__ import annotations

import functools

from agreements import rules, store
from core.canonical import sha256_hex
from core.clock import dutch_date
from core.database import reading
from core.errors import AgreementAltered, GlaError, KeyUnusable, SignerUnknown
from flows.wiring import Services
from keys.private.custody import Custody, Role
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
    custody, document = services.custody, stored.document
    sealed = custody.verify(Role.AGREEMENT_SEAL, stored.sender_signature, document, Namespace.AGREEMENT)
    agreement = unaltered(stored, obeys=sealed.valid)  # nothing else gets our seal
    sealed.require(f"agreement {stored.id} does not bear our seal, offer it again")
    if stored.recipient_signature is None:
        raise SignerUnknown(f"agreement {stored.id} has no assent of {stored.recipient}: run gla agreement accept")
    _check_assent(stored, stored.recipient_signature, agreement.recipient_signer)
    if agreement.recipient_signer in {key.fingerprint for key in custody.published(Role.AGREEMENT_SEAL)}:
        raise SignerUnknown(f"agreement {stored.id} names our own key as the recipient's: offer it with theirs")
    _check_sender(custody, agreement)
    return agreement


def _check_sender(custody: Custody, agreement: Agreement) -> None:
    """The keys that are to sign the deliveries are ours, of today or replaced since: the history leads on from them."""
    if agreement.sender_key not in {key.line for key in custody.published(Role.MANIFEST)}:
        raise SignerUnknown(f"agreement {agreement.id} names another sender key than ours: offer it again")
    if agreement.sender_key_pq is None:
        return
    if not custody.configured(Role.MANIFEST_MLDSA):
        raise KeyUnusable(
            f"agreement {agreement.id} promises a second, post-quantum signature: set {Role.MANIFEST_MLDSA.setting}"
        )
    if agreement.sender_key_pq not in {key.line for key in custody.published(Role.MANIFEST_MLDSA)}:
        raise SignerUnknown(f"agreement {agreement.id} names another post-quantum key than ours: offer it again")


def unaltered(stored: store.StoredAgreement, *, obeys: bool = False) -> Agreement:
    """The agreement in the bytes that were offered; nothing is said of signatures. `AgreementAltered` if not.

    `obeys`: these bytes are known to obey ODCS.
    """
    if sha256_hex(stored.document) == stored.digest:
        try:
            agreement = _loaded(stored.document, obeys=obeys)
        except GlaError:
            agreement = None
        if agreement and (agreement.canonical, agreement.id, agreement.recipient) == (
            stored.document,
            stored.id,
            stored.recipient,
        ):
            return agreement
    raise AgreementAltered(f"agreement {stored.id} is not the document that was offered: restore it or offer it again")


@functools.lru_cache(maxsize=16)
def _loaded(document: bytes, *, obeys: bool) -> Agreement:
    """The same bytes are the same agreement, however often a delivery asks."""
    return load_agreement(document, obeys=obeys)


def _check_assent(stored: store.StoredAgreement, signature: str, fingerprint: str) -> None:
    try:
        verify_by(signature, stored.document, Namespace.AGREEMENT, fingerprint)
    except SignerUnknown:
        failed = True
    else:
        failed = False
    if failed:
        raise SignerUnknown(
            f"agreement {stored.id}: the recipient's assent is not a valid signature by {fingerprint}: sign it again"
        )
