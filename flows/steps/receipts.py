"""Recipients' receipts: what lies in `receipts/` of the drop zone becomes ledger entries, each once, and goes.

A receipt names its delivery by the digest of the manifest, so that only who has the manifest can write one. Plain ones
count by the login through which they came; with an SSH signature beside it a receipt counts as that of the key which
signed the agreement. Nothing in a receipt is executed, followed or shown; a bad one is recorded and stops nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agreements import registry, store
from core.canonical import sha256_hex
from core.clock import to_rfc3339
from core.database import reading
from core.errors import GlaError, SignerUnknown, UnusableInput, unexpected
from core.ids import checked_name
from flows.steps.agree import unaltered
from flows.steps.arrivals import (
    alone_in,
    files,
    has_ticket,
    how_it_came,
    remove,
    remove_what_is_lonely,
    signature_of,
    signature_path,
    small_file,
    waited,
)
from flows.steps.seal import Sealed
from flows.wiring import Services
from keys.sshsig import Namespace, SshPublicKey, judge
from ledger import deliveries
from ledger.deliveries import Delivery
from ledger.receipts import Receipt, Signed, record_receipt
from ledger.vocabulary import Action, Result
from schemas.manifest import MANIFEST_NAME
from schemas.receipts import RECEIPT_BYTES, parse_receipt

logger = logging.getLogger(__name__)

_QUIET_SECONDS = 60  # after which a file without a ticket is whole, and one without a signature has none


@dataclass(frozen=True)
class Came:
    """A receipt as it came in, from the drop zone, the portal or an operator. `detail` tells how, for the ledger."""

    recipient: str
    name: str
    content: bytes
    signature: bytes | None
    actor: str
    detail: Mapping[str, Any] = field(default_factory=dict)


def take_receipts(services: Services) -> int:
    """Take every receipt that is complete, and has its signature or waited long enough for it; returns how many."""
    count = 0
    for area in sorted(services.receipts_folder.glob("*")):
        if not area.is_dir() or area.is_symlink():
            continue
        try:
            with alone_in(area):
                remove_what_is_lonely(services, area)
                for path in files(area):
                    count += _take(services, path)
        except GlaError as error:
            logger.warning("a receipt of %s stays: %s", area.name, error)
        except Exception as error:  # noqa: BLE001 - bytes of a stranger
            unexpected("taking a receipt from the drop zone", error)
    return count


def receive(services: Services, came: Came) -> Delivery | None:
    """Record what the receipt says, and return the delivery as it is then; None if it was recorded before.

    `UnusableInput` or `SignerUnknown` if it is no receipt for a delivery to this recipient: recorded too, once a day
    for each kind of mistake, so that nobody fills the ledger with them.
    """
    try:
        return _record(services, came)
    except (UnusableInput, SignerUnknown) as error:
        refusal: GlaError = error
    day, mistake = to_rfc3339(services.clock())[:10], sha256_hex(str(refusal).encode())
    services.ledger.record(
        Action.RECEIPT_REFUSED,
        f"receipt:{came.recipient}",
        Result.REFUSED,
        came.actor,
        {**came.detail, "recipient": came.recipient, "error": refusal.code, "message": str(refusal)},
        once=f"receipt refused {came.recipient} {mistake} {day}",
    )
    raise refusal


def _take(services: Services, path: Path) -> bool:
    has_signature = signature_path(path).exists()  # asked once: one that comes now may be half
    if not _is_ready(services, path, has_signature=has_signature):
        return False
    recipient, name = (checked_name(each, "a name in the drop zone") for each in path.parts[-2:])
    content, signature = small_file(path, RECEIPT_BYTES + 1), signature_of(path) if has_signature else None
    if content is None or (has_signature and signature is None):
        logger.warning("a receipt of %s stays: we cannot read it, see the permissions of our drop zone", recipient)
        return False
    came = Came(recipient, name, content, signature, recipient, how_it_came(path))
    try:
        receive(services, came)
    except (UnusableInput, SignerUnknown) as error:
        logger.warning("a receipt of %s is refused: %s", recipient, error)
    remove(path)
    return True


def _is_ready(services: Services, path: Path, *, has_signature: bool) -> bool:
    """Whether it is whole, and its signature too, or none will come."""
    if not has_signature:
        return waited(services, path) > _QUIET_SECONDS
    both = (path, signature_path(path))
    return all(has_ticket(each) or waited(services, each) > _QUIET_SECONDS for each in both)


def _record(services: Services, came: Came) -> Delivery | None:
    text = parse_receipt(came.name, came.content)
    delivery = _delivery(services, came.recipient, text.manifest)
    signed = None if came.signature is None else _signed(services, delivery, came.content, came.signature)
    receipt = Receipt(delivery.id, text.reason, signed, came.actor, came.detail)
    if not record_receipt(services.ledger, receipt):
        return None
    with reading(services.engine) as connection:
        return deliveries.find_by_id(connection, delivery.id)


def _delivery(services: Services, recipient: str, manifest: str) -> Delivery:
    """The published delivery to the recipient that has this manifest."""
    with reading(services.engine) as connection:
        found = deliveries.of_recipient(connection, recipient, manifest)
    for delivery in found:
        if delivery.sealed and Sealed.from_json(delivery.sealed).files.get(MANIFEST_NAME, (0, ""))[1] == manifest:
            return delivery
    raise UnusableInput(f"there is no delivery to {recipient} with this manifest: nothing is confirmed")


def _signed(services: Services, delivery: Delivery, content: bytes, signature: bytes) -> Signed:
    """What was signed, with the key that signed the agreement and is valid today."""
    with reading(services.engine) as connection:
        wanted = unaltered(store.get(connection, delivery.agreement_id)).recipient_signer
        keys = registry.keys_of(connection, delivery.recipient)
    armored = signature.decode("ascii", "replace")
    judged = judge(armored, content, Namespace.RECEIPT)
    if not judged.valid or SshPublicKey(str(judged.key)).fingerprint != wanted:
        raise SignerUnknown(
            f"the receipt is not signed by {wanted}, which signed agreement {delivery.agreement_id}: sign it with that "
            f"key, ssh-keygen -Y sign -n {Namespace.RECEIPT}, or send it without a signature"
        )
    if not any(key.fingerprint == wanted and key.may_sign(services.clock()) for key in keys):
        raise SignerUnknown(f"{wanted}, which signed the receipt, is revoked or not valid today: send it unsigned")
    return Signed(content.decode(), armored, wanted)
