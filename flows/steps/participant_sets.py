"""The sets of participants of an agreement: which the ledger knows, which is in force, and the people in one.

The ledger is the history: every accepted file is an event with a `ParticipantSet`. The people are in a file of their
own below `GLA_HOME/participants`, sealed to our intake key, and count only if the keyed digest in the ledger is theirs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from json import loads
from pathlib import Path

import numpy as np
from sqlalchemy import Connection

from core.canonical import canonical_json
from core.database import reading
from core.errors import EnvelopeError, ParticipantsUnusable
from core.files import new_file
from flows.steps.staging import sync_folder
from flows.wiring import Services
from keys.envelope.seal import Sealer
from keys.private.keyed import digest_by, is_digest
from keys.private.opening import open_pieces
from ledger import events
from ledger.vocabulary import Action
from schemas.bsn_set import BsnSet, Numbers
from schemas.participants import ParticipantSet

_PURPOSE = "participants"  # of the keyed digest
_NUMBER = np.dtype("<u4")  # how a citizen number stands in a sealed file


def history(connection: Connection, agreement_id: str) -> list[ParticipantSet]:
    """Every set that there was, oldest first; their numbers count from 1."""
    accepted = events.of_agreement(connection, agreement_id, Action.PARTICIPANTS_ACCEPTED)
    sets = [loads(event.body.detail)["report"]["participants"] for event in accepted]
    return [ParticipantSet.from_bytes(canonical_json(each)) for each in sets]


def in_force(sets: Sequence[ParticipantSet], day: date) -> ParticipantSet | None:
    """The set that counts on a day: of those that have taken effect, the one that came last."""
    return next((each for each in reversed(sets) if each.first_day <= day), None)


def pending(sets: Sequence[ParticipantSet], today: date) -> list[ParticipantSet]:
    """Sets that will take effect after today, unless something else comes; by number."""
    days = {each.first_day for each in sets if each.first_day > today}
    later = {found.number: found for day in days if (found := in_force(sets, day)) and found.first_day > today}
    return [later[number] for number in sorted(later)]


def required(services: Services, agreement_id: str, day: date) -> ParticipantSet:
    """The set in force, or `ParticipantsUnusable` that says what to do."""
    with reading(services.engine) as connection:
        sets = history(connection, agreement_id)
    found = in_force(sets, day)
    if found is not None:
        return found
    waiting = f"; the first set takes effect on {sets[0].effective}" if sets else ""
    raise ParticipantsUnusable(
        f"agreement {agreement_id}: no participants file is in force, and only registered participants may be "
        f"delivered{waiting}: the recipient sends its list, or run gla participants add"
    )


def save(services: Services, agreement_id: str, name: tuple[int, str], effective: date, people: BsnSet) -> str:
    """Seal the people of a set that is to be recorded; returns the digest under the key of today.

    `name` is its number and the checksum of the file that made it, so that no other attempt writes the same file.
    """
    path = _path(services, agreement_id, *name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    identity = services.custody.identities()[0]
    with new_file(path, mode=0o600) as file, Sealer(file, [identity.recipient]) as sealer:
        for numbers in people.numbers():
            sealer.write(numbers.astype(_NUMBER).tobytes())
    for folder in (path.parent, path.parent.parent):  # the agreement's may be new
        sync_folder(folder)
    inner = _inner_digest(agreement_id, name[0], effective, people.numbers())
    return digest_by(services.custody.person_digest_keys()[0], _PURPOSE, inner)


def load(services: Services, agreement_id: str, recorded: ParticipantSet) -> BsnSet:
    """The people of a recorded set; `ParticipantsUnusable` if the file is not what was recorded."""
    people = BsnSet()
    try:
        with _path(services, agreement_id, recorded.number, recorded.checksum).open("rb") as file:
            inner = _inner_digest(
                agreement_id,
                recorded.number,
                recorded.first_day,
                _noting(_numbers(open_pieces(file, services.custody.identities())), people.add),
            )
    except (OSError, ValueError, IndexError, EnvelopeError):
        inner = b""
    if inner and is_digest(recorded.digest, services.custody.person_digest_keys(), _PURPOSE, inner):
        return people
    raise ParticipantsUnusable(
        f"agreement {agreement_id}: the people of participants set {recorded.number} are no longer kept as they were "
        "recorded: restore GLA_HOME/participants and our keys, or ask the recipient for its full list"
    )


def past(sets: Sequence[ParticipantSet], day: date) -> list[ParticipantSet]:
    """Sets that another took the place of, on this day or before, and that nothing is built on any more."""
    needed = [in_force(sets, day), *pending(sets, day), *sets[-1:]]
    later = [each.first_day for each in sets]
    return [
        each for at, each in enumerate(sets) if each not in needed and min(later[at + 1 :], default=date.max) <= day
    ]


def are_kept(services: Services, agreement_id: str, recorded: ParticipantSet) -> bool:
    """Whether the people of a set are still there."""
    return _path(services, agreement_id, recorded.number, recorded.checksum).exists()


def discard(services: Services, agreement_id: str, recorded: ParticipantSet) -> None:
    """Remove the people of a set; of one that was recorded, all that its event tells remains."""
    _path(services, agreement_id, recorded.number, recorded.checksum).unlink(missing_ok=True)


def _path(services: Services, agreement_id: str, number: int, checksum: str) -> Path:
    return services.settings.participants_dir / agreement_id / f"set-{number:06d}-{checksum[:16]}.age"


def _inner_digest(agreement_id: str, number: int, effective: date, numbers: Iterable[Numbers]) -> bytes:
    """SHA-256 over what makes a set this one: never shown or stored, since whoever has it could try people out."""
    whole = hashlib.sha256(canonical_json([agreement_id, number, effective.isoformat()]) + b"\n")
    for each in numbers:
        whole.update(each.astype(_NUMBER).tobytes())
    return whole.digest()


def _numbers(pieces: Iterator[memoryview]) -> Iterator[Numbers]:
    """The numbers in a sealed file, of which a piece may end within one; ValueError if they do not fill it."""
    rest = b""
    for piece in pieces:
        data = rest + bytes(piece)
        whole = len(data) - len(data) % _NUMBER.itemsize
        rest = data[whole:]
        yield np.frombuffer(data[:whole], dtype=_NUMBER).astype(np.uint32)
    if rest:
        raise ValueError("half a number")


def _noting(numbers: Iterator[Numbers], note: Callable[[Numbers], object]) -> Iterator[Numbers]:
    for each in numbers:
        note(each)
        yield each
