"""Take a recipient's participants file: judge it, make the next set of it, record and report what became of it.

All or nothing: a file with one wrong line changes nothing. It is opened in memory only. The report, signed, holds
counts and line numbers; it goes to the recipient's place in our drop zone, and into the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from json import loads
from typing import Any, BinaryIO

from agreements import registry, rules, store
from core.canonical import canonical_json
from core.clock import dutch_date, to_rfc3339
from core.database import reading, writing
from core.errors import AgreementError, AgreementNotYetValid, EnvelopeError, ParticipantsUnusable, UnusableInput
from flows.steps import participant_sets
from flows.steps.agree import verify_stored
from flows.steps.participant_lists import ParticipantList, read_list
from flows.steps.participant_reports import publish_report, report_name
from flows.wiring import Services
from keys.private.opening import open_envelope
from keys.sshsig import SshPublicKey, judge_digests
from ledger.events import find_once
from ledger.vocabulary import Action, Result
from schemas.agreement import Agreement
from schemas.bsn_set import BsnSet
from schemas.participants import (
    FileName,
    ParticipantSet,
    ParticipantsReport,
    ParticipantsTerm,
    signing_namespace,
)

_NAME_SHOWN = 200  # characters of a name that somebody chose
_REFUSALS = (UnusableInput, EnvelopeError, AgreementError)  # what the sender of the file can do something about


@dataclass(frozen=True)
class Incoming:
    """A sealed file that has come in, open at its start. `detail` is what the ledger keeps of how it came.

    `signature` is the text that came with it; None if it came without, which is enough only where an operator (`actor`)
    vouches for it.
    """

    agreement_id: str
    recipient: str
    name: str
    file: BinaryIO
    actor: str
    signature: str | None = None
    vouched: bool = False
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Judged:
    """A file that was read: from it a set can be made, unless `refusal` or the findings say why not."""

    named: FileName | None
    read: ParticipantList | None
    size: int
    checksum: str
    signer: str | None
    refusal: str


def receive(services: Services, incoming: Incoming) -> ParticipantsReport:
    """What became of the file. Raises only what is ours to mend: no key, no room, no database.

    An agreement that is not the recipient's is `UnusableInput`: nobody else hears of it, and the ledger keeps it.
    """
    agreement = _agreement(services, incoming)
    judged = _judged(services, agreement, incoming)
    report = ParticipantsReport(
        agreement=agreement.id,
        agreement_digest=agreement.digest,
        recipient=agreement.recipient,
        file=incoming.name[:_NAME_SHOWN],
        size=judged.size,
        checksum=judged.checksum,
        signer=judged.signer,
        received=to_rfc3339(services.clock()),
        outcome="refused",
        reason=judged.refusal,
        lines=judged.read.lines if judged.read else None,
        findings=judged.read.findings if judged.read else (),
        participants=None,
    )
    if judged.read and judged.named and not judged.refusal:
        report = _make_set(services, agreement, incoming, report, judged.named, judged.read.people)
    if report.outcome != "accepted":
        _tell(services, incoming, report)
    publish_report(services, agreement, report)
    if report.outcome == "accepted":
        services.checkpoint()  # who cuts the ledger's end off would bring the set before back
    return report


def _agreement(services: Services, incoming: Incoming) -> Agreement:
    with reading(services.engine) as connection:
        stored = store.get(connection, incoming.agreement_id)
    if stored.recipient == incoming.recipient:
        return verify_stored(services, stored)
    message = f"agreement {stored.id} is not one of {incoming.recipient}: its participants stay as they are"
    detail = {**incoming.detail, "file": incoming.name[:_NAME_SHOWN], "message": message}
    object_ = f"participants:{stored.id}"
    services.ledger.record(
        Action.PARTICIPANTS_REFUSED, object_, Result.REFUSED, incoming.actor, detail, agreement_id=stored.id
    )
    raise UnusableInput(message)


def _judged(services: Services, agreement: Agreement, incoming: Incoming) -> _Judged:
    source = _Digesting(incoming.file, services.settings.dropzone.upload_bytes)
    named = read = None
    refusal = ""
    try:
        term = _term_in_force(services, agreement)
        named = FileName.parse(incoming.name)
        read = _read(services, source, named, term)
        if read.findings:
            told = "; ".join(map(str, read.findings))
            refusal = (
                f"nothing was taken of the file, since not all of it is right: {told}. Correct it and send it again"
            )
    except _REFUSALS as error:
        refusal = str(error)
    size, digests = source.finish()
    signer = None if incoming.signature is None else agreement.recipient_signer
    if unsigned := _why_not_theirs(services, agreement, incoming, digests):
        named = read = signer = None  # a stranger's list is not told of
        refusal = unsigned
    return _Judged(named, read, size, digests["sha256"].hex(), signer, refusal)


def _why_not_theirs(
    services: Services, agreement: Agreement, incoming: Incoming, digests: Mapping[str, bytes]
) -> str | None:
    """Why nobody may take the file for the recipient's, or None. Who only can write in the drop zone proves nothing."""
    if incoming.signature is None and incoming.vouched:
        return None
    namespace = signing_namespace(agreement.id, incoming.name)
    how = f"sign it with ssh-keygen -Y sign -n {namespace}, and send FILE and FILE.sig"
    if incoming.signature is None:
        return f"the file came without a signature: {how}"
    signer = agreement.recipient_signer
    with reading(services.engine) as connection:
        keys = registry.keys_of(connection, agreement.recipient)
    if not any(key.fingerprint == signer and key.may_sign(services.clock()) for key in keys):
        return (
            f"{signer}, which signed agreement {agreement.id}, is revoked or not valid today: offer it with a valid key"
        )
    judged = judge_digests(incoming.signature, digests, namespace)
    if judged.valid and SshPublicKey(str(judged.key)).fingerprint == signer:
        return None
    return f"the signature is not one by {signer} over this file for {namespace}: {how}"


def _term_in_force(services: Services, agreement: Agreement) -> ParticipantsTerm:
    """The term of an agreement that is active; its first day may lie ahead, since the list must be there by then."""
    if agreement.participants is None:
        raise UnusableInput(
            f"agreement {agreement.id} has no gla.participants: it delivers without a participants file"
        )
    with reading(services.engine) as connection:
        state = store.get(connection, agreement.id).state
    with suppress(AgreementNotYetValid):
        rules.check_in_force(agreement, state, dutch_date(services.clock()))
    return agreement.participants


def _read(services: Services, source: _Digesting, named: FileName, term: ParticipantsTerm) -> ParticipantList:
    with open_envelope(source, services.custody.identities()) as plain:
        return read_list(plain, named.form, term.file_columns, term.maximum)


def _make_set(
    services: Services,
    agreement: Agreement,
    incoming: Incoming,
    report: ParticipantsReport,
    named: FileName,
    people: BsnSet,
) -> ParticipantsReport:
    """Record the next set, or say why not. Another one may be recorded meanwhile: then this begins again."""
    once = f"participants {agreement.id} {report.checksum}"
    while True:
        with reading(services.engine) as connection:
            sets = participant_sets.history(connection, agreement.id)
            known = find_once(connection, once)
        if known is not None:
            return _repeated(services, agreement, report, ParticipantsReport.from_bytes(_report_in(known.body.detail)))
        try:
            made = _next_set(services, agreement, sets, named, people, report.checksum)
        except UnusableInput as error:
            return report.model_copy(update={"reason": str(error)})
        accepted = report.model_copy(update={"outcome": "accepted", "participants": made})
        with writing(services.engine) as connection:
            if len(participant_sets.history(connection, agreement.id)) == len(sets):
                _tell(services, incoming, accepted, once=once, connection=connection)
                return accepted
            recorded = find_once(connection, once)
        if recorded is None:  # else another process recorded the same file, and its people are these
            participant_sets.discard(services, agreement.id, made)


def _people_before(services: Services, agreement: Agreement, base: ParticipantSet | None, named: FileName) -> BsnSet:
    """The people of the set that the file changes; a full list needs none, and mends a set that was lost."""
    try:
        return BsnSet() if base is None else participant_sets.load(services, agreement.id, base)
    except ParticipantsUnusable:
        pass
    if named.kind == "full":
        return BsnSet()
    raise UnusableInput(f"the list before this one is lost at agreement {agreement.id}: send the full list")


def _next_set(
    services: Services,
    agreement: Agreement,
    sets: list[ParticipantSet],
    named: FileName,
    people: BsnSet,
    checksum: str,
) -> ParticipantSet:
    """The set that the file makes of those before it, with its people sealed; UnusableInput if it makes none."""
    assert agreement.participants is not None, "the term was asked for before"
    today = dutch_date(services.clock())
    effective = max(named.effective or today, today)
    base = _base(agreement, sets, named, effective)
    before = _people_before(services, agreement, base, named)
    after = {"full": people, "additions": before.union(people), "removals": before.without(people)}[named.kind]
    if (count := after.count) > agreement.participants.maximum:
        raise UnusableInput(
            f"there would be {count} participants, more than the {agreement.participants.maximum} of agreement "
            f"{agreement.id}: send removals first, or agree on another maximum"
        )
    added, removed = after.without(before).count, before.without(after).count
    taken = {"full": added, "additions": added, "removals": removed}[named.kind]
    number = len(sets) + 1
    return ParticipantSet(
        number=number,
        kind=named.kind,
        effective=effective.isoformat(),
        people=count,
        added=added,
        removed=removed,
        unchanged=people.count - taken,
        base=base.number if base else 0,
        withdrawn=tuple(each.number for each in participant_sets.pending(sets, today) if each.first_day >= effective),
        digest=participant_sets.save(services, agreement.id, (number, checksum), effective, after),
        checksum=checksum,
    )


def _base(agreement: Agreement, sets: list[ParticipantSet], named: FileName, effective: date) -> ParticipantSet | None:
    """The set that the new one is compared with; for additions and removals the one that they change."""
    if named.kind == "full":
        return participant_sets.in_force(sets, effective)
    if not sets:
        raise UnusableInput(
            f"agreement {agreement.id} has no participants yet to which {named.kind} apply: send a full list first"
        )
    if sets[-1].first_day > effective:
        raise UnusableInput(
            f"participants set {sets[-1].number} takes effect on {sets[-1].effective}: send {named.kind} for that day "
            "or later, or a full list, which takes its place"
        )
    return sets[-1]


def _repeated(
    services: Services, agreement: Agreement, report: ParticipantsReport, first: ParticipantsReport
) -> ParticipantsReport:
    """The same file came before; its report is put back, should a crash have come before it."""
    publish_report(services, agreement, first)
    made = first.participants
    reason = (
        f"this very file was taken on {first.received} as set {made.number if made else 0}, and nothing changed: "
        "to send the same list once more, seal it again"
    )
    return report.model_copy(update={"outcome": "repeated", "reason": reason, "participants": made})


def _report_in(detail: str) -> bytes:
    return canonical_json(loads(detail)["report"])


def _tell(services: Services, incoming: Incoming, report: ParticipantsReport, **kwargs: Any) -> None:
    action = {
        "accepted": Action.PARTICIPANTS_ACCEPTED,
        "refused": Action.PARTICIPANTS_REFUSED,
        "repeated": Action.PARTICIPANTS_REPEATED,
    }[report.outcome]
    services.ledger.record(
        action,
        f"participants:{report.agreement}",
        Result.REFUSED if report.outcome == "refused" else Result.OK,
        incoming.actor,
        {**incoming.detail, "report": report.model_dump(mode="json", by_alias=True), "name": report_name(report)},
        report.agreement,
        **kwargs,
    )


class _Digesting:
    """Reads a file and digests it on the way; UnusableInput beyond `limit` bytes."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self._file = file
        self._limit = limit
        self._hashes = {name: hashlib.new(name) for name in ("sha256", "sha512")}
        self._size = 0

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self._note(data)
        return data

    def readinto(self, buffer: memoryview, /) -> int | None:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def finish(self) -> tuple[int, dict[str, bytes]]:
        """Size, SHA-256 and SHA-512 of the whole file, of which the rest is read now."""
        while data := self._file.read(1024 * 1024):
            self._digest(data)
        return self._size, {name: each.digest() for name, each in self._hashes.items()}

    def _digest(self, data: bytes) -> None:
        self._size += len(data)
        for each in self._hashes.values():
            each.update(data)

    def _note(self, data: bytes) -> None:
        self._digest(data)
        if self._size > self._limit:
            raise UnusableInput(f"the file is larger than the {self._limit} bytes that are taken")
