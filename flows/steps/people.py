"""For each delivery the set of people in it is kept, so that it can be said later whose data went where.

The set is collected while the rows stream by and written as the delivery is sealed, before the ledger has that: what
the ledger has of the delivery names the set's key, salt and shape, so that no other is taken for it. It is a file of
`keys.private.people` below `GLA_HOME/people`. It outlives the delivery's bytes and has a retention of its own
(`flows.steps.people_retention`). Data without citizen numbers has no set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from core.files import new_file
from flows.steps.staging import disk_errors, sync_folder
from flows.wiring import Services
from keys.private.people import seal_people
from ledger.deliveries import Claim, Delivery
from schemas.agreement import Agreement
from schemas.bsn_set import BsnSet, Numbers
from schemas.people import PeopleKept, people_in, telling
from schemas.table import Column

_SUFFIX = ".set"


class People:
    """Everybody in the rows of one delivery, in 12.5 MB however many they are."""

    def __init__(self, columns: tuple[Column, ...], participants: str | None) -> None:
        self._columns, self._participants = columns, participants
        self._people = BsnSet()

    def noted(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The frames as they come, which obey the agreement."""
        for frame in frames:
            for column in self._columns:
                numbers = people_in(frame.get_column(column.name), column, self._participants)
                self._people.mark(_without_repetitions(numbers))
            yield frame

    def keep(self, services: Services, claim: Claim) -> PeopleKept:
        """Seal the set into its file, on disk when this returns; takes the place of what earlier attempts left."""
        path = set_path(services, claim.id, claim.token)
        key, name = services.custody.person_digest_keys()[0], set_name(claim.id, claim.token)
        with disk_errors():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with new_file(path, mode=0o600) as file:
                kept = seal_people(file, key, name, self._people.count, self._people.prefixes())
            sync_folder(path.parent)
            for earlier in attempts(services, claim.id):
                if token_of(earlier) < claim.token:
                    earlier.unlink(missing_ok=True)
        return kept


def _without_repetitions(numbers: Numbers) -> Numbers:
    """One of each run of the same: the rows about a person mostly stand together."""
    first = np.ones(len(numbers), dtype=np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=first[1:])
    return numbers[first]


def people_of(agreement: Agreement) -> People | None:
    """To collect the people of a delivery under the agreement; None if its rows tell of none."""
    participants = None if agreement.participants is None else agreement.participants.column
    columns = tuple(each for each in agreement.contract.table.columns if telling(each, participants))
    return People(columns, participants) if columns else None


def set_name(delivery_id: str, token: int) -> str:
    """What the set is called inside: the delivery and the attempt that sealed it."""
    return f"{delivery_id}-{token}"


def set_path(services: Services, delivery_id: str, token: int) -> Path:
    return services.settings.people_dir / f"{set_name(delivery_id, token)}{_SUFFIX}"


def forgotten_once(delivery: Delivery) -> str:
    """The key under which it is recorded that a set's retention is over."""
    return f"people forgotten {delivery.id}"


def attempts(services: Services, delivery_id: str = "*") -> list[Path]:
    """The files of the sets of one delivery, or of all."""
    return sorted(services.settings.people_dir.glob(f"{delivery_id}-*{_SUFFIX}"))


def token_of(path: Path) -> int:
    """The attempt that made the file of a set; -1 if no attempt did."""
    number = path.stem.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1
