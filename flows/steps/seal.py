"""Step 4: rows become a file of the agreed format, encrypted to the recipient's keys as it is written, then staged.

Plaintext exists in memory only. What is staged is the delivery as the recipient will get it: the encrypted data, the
sealed pakbon with the counts and its page for people, the manifest over the ciphertext and our signature over that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from core.clock import from_rfc3339, to_rfc3339
from core.ids import checked_name
from core.period import Period
from flows.steps.extract import Read
from flows.steps.formats import row_format
from flows.steps.kept_parts import KeptParts
from flows.steps.order import Order
from flows.steps.people import people_of
from flows.steps.same_data import is_same, mark
from flows.steps.seal_rows import OpenEnvelope, Progress, RowSealer
from flows.steps.sealing_keys import usable_keys
from flows.steps.signatures import signed_files
from flows.steps.staging import as_file, manifest_file, new_folder, staged_file
from flows.steps.validate import Checked
from flows.wiring import Services
from keys.kinds import open_sealer, preferred
from ledger.deliveries import Claim, Delivery
from schemas.agreement import Agreement
from schemas.envelopes import EnvelopeForm
from schemas.manifest import PAKBON, PAKBON_PAGE, Contact, Manifest, ManifestFile, Pakbon
from schemas.pakbon_page import as_html

_LATER = ("plan", "snapshot", "content", "same_as", "mutations", "state", "people")  # not in older deliveries


@dataclass(frozen=True)
class Sealed:
    """What was staged, as the ledger records it: file names with size and SHA-256 of the ciphertext, and the
    fingerprints of the keys that open it. `token` names the staging folder. `plan` is the digest of the plan,
    `snapshot` the state of the source, `content` the mark of the plaintext (`flows.steps.same_data`), and `same_as` the
    edition before it, if that had the same plaintext. Of a mutation delivery `mutations` are the counts, and `state` is
    what it leaves behind (`flows.steps.mutations.state`). `people` is the set of people in it (`schemas.people`).
    """

    token: int
    rows: int
    expires: str
    keys: tuple[str, ...]
    files: dict[str, tuple[int, str]]
    plan: str | None = None
    snapshot: str | None = None
    content: str | None = None
    same_as: int | None = None
    mutations: dict[str, int] | None = None
    state: dict[str, Any] | None = None
    people: dict[str, Any] | None = None

    @property
    def expires_at(self) -> datetime:
        return from_rfc3339(self.expires)

    @property
    def size(self) -> int:
        return sum(size for size, _ in self.files.values())

    def to_json(self) -> str:
        return json.dumps(vars(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Sealed:
        """Read a database row again; no name in it becomes a path unchecked."""
        value = json.loads(text)
        files = {checked_name(name, "a file name"): (size, it) for name, (size, it) in value["files"].items()}
        later = {name: value.get(name) for name in _LATER}
        return cls(int(value["token"]), value["rows"], value["expires"], tuple(value["keys"]), files, **later)

    @property
    def told(self) -> dict[str, object]:
        """What the ledger tells of it."""
        told: dict[str, object] = {"files": len(self.files), "plan": self.plan, "snapshot": self.snapshot}
        people = None if self.people is None else self.people["people"]
        more = {"same_data_as_edition": self.same_as, "mutations": self.mutations, "people": people}
        return {**told, **{name: value for name, value in more.items() if value is not None}}


def seal(
    services: Services,
    agreement: Agreement,
    order: Order,
    claim: Claim,
    checked: Checked,
    empty: pl.DataFrame,
    read: Callable[[], Read],
    progress: Progress,
) -> Sealed:
    """Consume `checked` and stage the whole delivery; nothing is left behind when a batch turns out to be invalid.

    `read` is asked what was read when all of it was.
    """
    created = services.clock()
    recipients = preferred(usable_keys(services, agreement))
    form, signer = recipients[0].form, _openpgp_signer(services, agreement)
    open_envelope = partial(open_sealer, keys=recipients, now=created, openpgp_signer=signer)
    retention = agreement.retention_days or services.settings.delivery.retention_days
    fingerprints = tuple(recipient.fingerprint for recipient in recipients)
    kept = KeptParts(services, fingerprints)
    people = people_of(agreement)
    with new_folder(services.settings.staging_dir, claim.id, claim.token, kept.take_over) as folder:
        rows_sealer = RowSealer(
            agreement=agreement,
            form=form,
            folder=folder,
            open_envelope=open_envelope,
            row_format=row_format(agreement, order.period, empty),
            kept=kept,
        )
        parts = rows_sealer.seal(checked if people is None else people.noted(checked), progress)
        rows = sum(part.plain.rows for part in parts)
        found = read()
        plan = found.plan
        superseded = _superseded(services, claim)
        pakbon = Pakbon(
            context_id=claim.id,
            agreement_digest=agreement.digest,
            period=str(order.period),
            edition=claim.delivery.edition,
            reason=None if superseded is None else claim.delivery.reason,
            rows=rows,
            sums={name: str(it.total) for name, it in checked.verdict.sums.items()},
            plan_digest=plan.digest,
            plan=plan,
            mutations=found.mutations,
            files=tuple(part.plain for part in parts),
        )
        pakbon_file = _seal_bytes(form, folder, PAKBON, pakbon.to_bytes(), "application/json", open_envelope)
        manifest = Manifest(
            context_id=claim.id,
            agreement=agreement.id,
            agreement_digest=agreement.digest,
            recipient=agreement.recipient,
            product=agreement.product,
            period=str(order.period),
            edition=claim.delivery.edition,
            supersedes=None if superseded is None else superseded.edition,
            creation_time=to_rfc3339(created),
            expiration_time=to_rfc3339(created + timedelta(days=retention)),
            contact=None if agreement.contact is None else Contact(name=agreement.contact[0], url=agreement.contact[1]),
            plan_digest=plan.digest,
            files=(*(part.sealed for part in parts), pakbon_file),
        )
        page = _seal_bytes(form, folder, PAKBON_PAGE, as_html(manifest, pakbon).encode(), "text/html", open_envelope)
        manifest = manifest.model_copy(update={"files": (*manifest.files, page)})
        files = {file.filename: (file.size, file.checksum) for file in manifest.files}
        for name, content in signed_files(services.custody, agreement, manifest.to_bytes()).items():
            with staged_file(folder, name) as target:
                target.write(content)
            files[name] = (target.digests.size, target.digests.checksum())
        people_kept = None if people is None else people.keep(services, claim)
    return Sealed(
        token=claim.token,
        rows=rows,
        expires=manifest.expiration_time,
        keys=fingerprints,
        files=files,
        plan=plan.digest,
        snapshot=plan.snapshot,
        content=mark(services, pakbon.files),
        same_as=_same_as(services, superseded, pakbon),
        mutations=None if found.mutations is None else found.mutations.model_dump(),
        people=None if people_kept is None else vars(people_kept),
    )


def _openpgp_signer(services: Services, agreement: Agreement) -> bytes | None:
    """Our key that the agreement says signs inside OpenPGP messages; `KeyUnusable` if we no longer have it."""
    if agreement.sender_openpgp is None:
        return None
    return services.custody.openpgp_signers().named(agreement.sender_openpgp).secret.reveal()


def _superseded(services: Services, claim: Claim) -> Delivery | None:
    """The newest edition before this one that was published; others the recipient never saw."""
    it = claim.delivery
    for edition in range(it.edition - 1, 0, -1):
        earlier = services.ledger.get(it.agreement_id, Period.parse(it.period), edition)
        if earlier is not None and earlier.id == it.supersedes:
            return earlier
    return None


def _same_as(services: Services, superseded: Delivery | None, pakbon: Pakbon) -> int | None:
    """The edition that is superseded, if its plaintext was the same."""
    if superseded is None or superseded.sealed is None:
        return None
    content = Sealed.from_json(superseded.sealed).content
    return superseded.edition if content is not None and is_same(services, pakbon.files, content) else None


def _seal_bytes(
    form: EnvelopeForm, folder: Path, name: str, content: bytes, kind: str, open_envelope: OpenEnvelope
) -> ManifestFile:
    with staged_file(folder, f"{name}{form.suffix}") as target, open_envelope(as_file(target)) as sealer:
        sealer.write(content)
    return manifest_file(form, name, target, kind)
