"""Between extracting and validating: only rows about people whom the recipient named as its participants go on.

The set is the one in force when the rows are read, and the ledger knows which it was. Before a delivery appears it is
asked again: if somebody was in that set who is no participant any more, the delivery is refused, also where only the
same bytes are to be published again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from json import loads

import polars as pl

from core.clock import dutch_date
from core.database import reading
from core.errors import ParticipantsUnusable, RowsInvalid
from flows.sources.base import of_equal_size
from flows.steps import participant_sets
from flows.wiring import Services
from ledger.deliveries import Claim
from ledger.vocabulary import Action, Result
from schemas.agreement import Agreement
from schemas.bsn_set import BsnSet
from schemas.participants import ParticipantSet


@dataclass(frozen=True)
class Participants:
    """The set in force and its people."""

    column: str
    recorded: ParticipantSet
    people: BsnSet


def participants_of(services: Services, agreement: Agreement) -> Participants | None:
    """Whom the agreement's rows may be about today; None where it has no such term. `ParticipantsUnusable` if it has
    the term and there is no set in force.
    """
    if agreement.participants is None:
        return None
    recorded = participant_sets.required(services, agreement.id, dutch_date(services.clock()))
    people = participant_sets.load(services, agreement.id, recorded)
    return Participants(agreement.participants.column, recorded, people)


def only_participants(
    services: Services, claim: Claim, frames: Iterator[pl.DataFrame], participants: Participants | None
) -> Iterator[pl.DataFrame]:
    """The rows of `frames` about participants, in the same order; in the end the ledger is told how many were not."""
    if participants is None:
        yield from frames
        return
    kept_out = 0

    def limited() -> Iterator[pl.DataFrame]:
        nonlocal kept_out
        for frame in frames:
            allowed = keep(frame, participants)
            kept_out += frame.height - allowed.height
            yield allowed

    yield from of_equal_size(limited())
    recorded = participants.recorded
    told = {"set": recorded.number, "digest": recorded.digest, "people": recorded.people, "kept_out": kept_out}
    services.ledger.note(claim, Action.DELIVERY_LIMITED, Result.OK, told)


def digest_of(participants: Participants | None) -> str | None:
    """What the plan says of the set; keyed, so that nobody can try people out on it."""
    return None if participants is None else participants.recorded.digest


def keep(frame: pl.DataFrame, participants: Participants) -> pl.DataFrame:
    """The rows about participants; a value that is no BSN is nobody's."""
    try:
        return frame.filter(participants.people.holds(frame.get_column(participants.column)))
    except TypeError:
        pass
    raise RowsInvalid(
        f"column {participants.column} of the source is neither text nor whole numbers, so that nobody in it is known "
        "as a participant: mend the source and resume"
    )


def check_still_participants(services: Services, agreement: Agreement, claim: Claim) -> None:
    """`ParticipantsUnusable` if the sealed delivery may hold somebody who is not in the set that is in force now."""
    if agreement.participants is None:
        return
    current = participant_sets.required(services, agreement.id, dutch_date(services.clock()))
    number = _used(services, claim)
    if number == current.number:
        return
    used = next((each for each in _history(services, agreement.id) if each.number == number), None)
    if used is not None and participant_sets.are_kept(services, agreement.id, used):
        people = participant_sets.load(services, agreement.id, used)
        if people.issubset(participant_sets.load(services, agreement.id, current)):
            return
    raise ParticipantsUnusable(
        f"agreement {agreement.id}: the delivery was made for participants set {number}, and of those people not all "
        f"are in set {current.number}, which is in force now: use mode correct"
    )


def _history(services: Services, agreement_id: str) -> list[ParticipantSet]:
    with reading(services.engine) as connection:
        return participant_sets.history(connection, agreement_id)


def _used(services: Services, claim: Claim) -> int | None:
    """The number of the set that the sealed rows were limited to: what was told last before they were sealed."""
    for event in reversed(services.ledger.events_of(claim.id)):
        if event.body.action == Action.DELIVERY_LIMITED:
            return int(loads(event.body.detail)["set"])
    return None
