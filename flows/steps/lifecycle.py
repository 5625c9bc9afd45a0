"""What people do with an agreement: offer, accept, activate, end, revoke. Rule, store and ledger in one transaction.

Only `offer` puts our signature and only `accept` takes the recipient's; nothing else records one.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from agreements import registry, store
from agreements.rules import AgreementState
from agreements.standing import KeyPurpose, ProvenBy, Standing
from core.database import reading, writing
from core.errors import KeyUnusable, SignerUnknown, UnusableInput
from flows.steps.accounts import write_accounts
from flows.steps.agree import verify_stored
from flows.steps.mutations.state import forget_all_states
from flows.steps.retention import Removed, remove_what_was_revoked
from flows.wiring import Services
from keys.kinds import SealingKey, check_together, parse_sealing_key
from keys.private.custody import Role
from keys.sshsig import Namespace, verify_by
from ledger.vocabulary import Action, Result
from schemas.agreement import Agreement, load_agreement
from schemas.compiler import compile_table
from transports.registry import DROPZONE


def offer(services: Services, document: bytes, actor: str) -> tuple[Agreement, Path]:
    """Seal an offer with our key and write the bytes that the recipient signs; returns them and their file."""
    agreement = load_agreement(document)
    _check_offer(services, agreement)
    signature = services.custody.signer(Role.AGREEMENT_SEAL).sign(agreement.canonical, Namespace.AGREEMENT)
    with writing(services.engine) as connection:
        store.put_offer(connection, agreement, signature, services.clock())
        _tell(services, connection, Action.AGREEMENT_OFFERED, agreement.id, actor, {"digest": agreement.digest})
    folder = services.settings.home / "agreements"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{agreement.id}.json"
    path.write_bytes(agreement.canonical)
    if agreement.sender_openpgp is not None:
        signer = services.custody.openpgp_signers().named(agreement.sender_openpgp)
        openpgp_certificate_beside(path).write_text(signer.certificate, encoding="ascii")
    return agreement, path


def openpgp_certificate_beside(path: Path) -> Path:
    """Where our OpenPGP certificate is written for the recipient, if the agreement in the file `path` names one."""
    return path.with_name(f"{path.stem}.sender.asc")


def accept(services: Services, agreement_id: str, signature: str, actor: str) -> None:
    """Record the recipient's assent: an SSHSIG over the offered bytes by the key that the offer names."""
    with writing(services.engine) as connection:
        stored = store.get(connection, agreement_id)
        agreement = load_agreement(stored.document)
        refusal = _refusal(services, connection, agreement, stored.document, signature)
        if refusal is None:
            store.change_state(
                connection, agreement_id, AgreementState.AGREED, services.clock(), recipient_signature=signature
            )
            registry.set_proven(connection, agreement.recipient_signer, ProvenBy.ASSENT, services.clock())
            detail = {"digest": stored.digest, "signer": agreement.recipient_signer}
            _tell(services, connection, Action.AGREEMENT_ACCEPTED, agreement_id, actor, detail)
        else:
            detail = {"error": refusal.code, "message": str(refusal)}
            _tell(services, connection, Action.AGREEMENT_REFUSED, agreement_id, actor, detail, Result.REFUSED)
    if refusal is not None:
        raise refusal


def activate(services: Services, agreement_id: str, actor: str) -> None:
    """Let deliveries begin: both signatures are verified again, and the recipient can log in to the drop zone."""
    with writing(services.engine) as connection:
        verify_stored(services, store.get(connection, agreement_id))
        store.change_state(connection, agreement_id, AgreementState.ACTIVE, services.clock())
        _tell(services, connection, Action.AGREEMENT_ACTIVATED, agreement_id, actor, {})
    write_accounts(services)


def stop(services: Services, agreement_id: str, state: AgreementState, reason: str, actor: str) -> Removed:
    """End or revoke. A reason is required.

    A revocation stops a running delivery before publication, and removes what was delivered; returns what came of that.
    """
    if not reason.strip():
        raise UnusableInput("a reason is required: it is shown in the history")
    action = Action.AGREEMENT_REVOKED if state is AgreementState.REVOKED else Action.AGREEMENT_ENDED
    with writing(services.engine) as connection:
        store.change_state(connection, agreement_id, state, services.clock(), reason=reason)
        _tell(services, connection, action, agreement_id, actor, {"reason": reason})
    write_accounts(services)  # first: the drop zone shows none of it any more, however long it takes to remove
    forget_all_states(services, agreement_id)
    return remove_what_was_revoked(services, agreement_id) if state is AgreementState.REVOKED else Removed()


def _refusal(
    services: Services, connection: Connection, agreement: Agreement, document: bytes, signature: str
) -> SignerUnknown | None:
    """Why `signature` is no assent, or None if it is one."""
    signer = agreement.recipient_signer
    keys = registry.keys_of(connection, agreement.recipient)
    if not any(key.fingerprint == signer and key.may_sign(services.clock()) for key in keys):
        return SignerUnknown(
            f"agreement {agreement.id}: {signer} is revoked or not valid today: offer the agreement with a valid key"
        )
    try:
        verify_by(signature, document, Namespace.AGREEMENT, signer)
        return None
    except SignerUnknown:
        pass
    return SignerUnknown(
        f"agreement {agreement.id}: this is no signature over the offered document by {signer}: "
        f"sign GLA_HOME/agreements/{agreement.id}.json with namespace {Namespace.AGREEMENT}"
    )


def _lasting_keys(services: Services, connection: Connection, recipient: str) -> set[tuple[KeyPurpose, str]]:
    """What may be named: keys that can still be used, or will be; whether they are proven is asked when it matters."""
    over = (Standing.REVOKED, Standing.EXPIRED)
    keys = registry.keys_of(connection, recipient)
    return {(key.purpose, key.fingerprint) for key in keys if key.standing(services.clock()) not in over}


def _check_offer(services: Services, agreement: Agreement) -> None:
    """An offer that could never be delivered is refused now rather than on delivery day."""
    compile_table(agreement.contract.table)
    services.sources.get(agreement.source, agreement.contract.table.source_name)
    if agreement.destination != DROPZONE:
        services.destinations.get(agreement.destination)
    if agreement.sender_key != services.custody.public_key(Role.MANIFEST).line:
        raise UnusableInput(f"agreement {agreement.id}: gla.senderKey is not our key: draft it with gla agreement new")
    second = services.custody.mldsa_signer()
    if agreement.sender_key_pq != (second and second.public_key.line):
        raise UnusableInput(
            f"agreement {agreement.id}: gla.senderKeyPq is not the key of {Role.MANIFEST_MLDSA.setting}: "
            "draft it with gla agreement new"
        )
    if agreement.sender_openpgp is not None:
        services.custody.openpgp_signers().named(agreement.sender_openpgp)
    with reading(services.engine) as connection:
        kvk = dict(registry.list_recipients(connection)).get(agreement.recipient)
        known = _lasting_keys(services, connection, agreement.recipient)
        named = [key for key in registry.keys_of(connection, agreement.recipient) if key.purpose is KeyPurpose.SEAL]
    lines = [key.public_key for key in named if key.fingerprint in agreement.recipient_keys]
    sealed_to = {(KeyPurpose.SEAL, fingerprint) for fingerprint in agreement.recipient_keys}
    missing = {*sealed_to, (KeyPurpose.SIGN, agreement.recipient_signer)} - known
    if missing:
        names = ", ".join(f"{fingerprint} to {purpose} with" for purpose, fingerprint in sorted(missing))
        raise UnusableInput(
            f"agreement {agreement.id}: {agreement.recipient} has no valid key {names}: run gla recipient add"
        )
    keys = [parse_sealing_key(line) for line in lines]
    if (reason := _unfit(keys, services.clock())) is not None:
        raise UnusableInput(f"agreement {agreement.id}: gla.recipientKeys: {reason}")
    if kvk != agreement.recipient_kvk:
        raise UnusableInput(f"agreement {agreement.id}: {agreement.recipient} is registered with another KvK number")


def _unfit(keys: list[SealingKey], now: datetime) -> str | None:
    """Why nothing could be sealed to these keys, or None."""
    try:
        check_together(keys)
        for key in keys:
            key.check(now)
    except KeyUnusable as error:
        return str(error)
    return None


def _tell(
    services: Services,
    connection: Connection,
    action: Action,
    agreement_id: str,
    actor: str,
    detail: dict[str, str],
    result: Result = Result.OK,
) -> None:
    services.ledger.record(
        action, f"agreement:{agreement_id}", result, actor, detail, agreement_id, connection=connection
    )
