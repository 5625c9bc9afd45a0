"""One row of the work list as a value, what a worker holds while it works on it, and how both meet the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict

from sqlalchemy import Connection, Row, Select, desc, insert, select, update

from core.canonical import sha256_hex
from core.clock import from_rfc3339, to_rfc3339
from core.errors import DeliveryBusy
from core.period import Period
from ledger.leaves import plain_json
from ledger.states import State
from ledger.tables import deliveries
from schemas.spans import Spans

OBJECT = "delivery:"  # the names of deliveries, and of what is in them, begin so in events
LONGEST_LEASE = timedelta(hours=1)  # so long at most a worker that died holds up a delivery
_BATCH = 1_000  # deliveries per fetch: bounded memory however many there are
_NOT_HISTORY = ("worker", "lease_until", "token", "updated_at")  # change without an event


@dataclass(frozen=True)
class Delivery:
    """One agreement, one period, one edition. Times are RFC 3339 text in UTC; `sealed` is the caller's JSON text."""

    id: str
    agreement_id: str
    agreement_digest: str
    recipient: str
    product: str
    period: str
    edition: int
    state: State
    token: int
    actor: str
    created_at: str
    updated_at: str
    worker: str | None = None
    lease_until: str | None = None
    rows: int | None = None
    bytes: int | None = None
    sealed: str | None = None
    reason: str | None = None
    error: str | None = None
    published_at: str | None = None
    expires_at: str | None = None
    picked_up_at: str | None = None
    supersedes: str | None = None

    @property
    def name(self) -> str:
        """How events name this delivery."""
        return f"{OBJECT}{self.short_name}"

    @property
    def short_name(self) -> str:
        """How people name it: AGREEMENT/PERIOD/EDITION."""
        return f"{self.agreement_id}/{self.period}/{self.edition}"

    def is_held(self, now: str) -> bool:
        """Is a worker at it, whose lease has not run out?

        One that ends later than any lease given now was given by a clock that was set back since, and holds nothing: a
        worker that lives prolongs it by the new time.
        """
        if self.worker is None or self.lease_until is None:
            return False
        latest = from_rfc3339(now) + 2 * LONGEST_LEASE  # the clocks of two machines may differ
        return now < self.lease_until <= to_rfc3339(latest)

    def history_digest(self) -> str:
        """Digest of all that history shows; each event that changes the row has it, so that `verify` can compare."""
        told = {name: value for name, value in vars(self).items() if name not in _NOT_HISTORY}
        return sha256_hex(plain_json(told))


def lease_end(now: datetime, seconds: int) -> str:
    """When a lease of so many seconds ends."""
    return to_rfc3339(now + min(timedelta(seconds=seconds), LONGEST_LEASE))


class Columns(TypedDict, total=False):
    """What a worker may add to a delivery while it advances it."""

    rows: int
    bytes: int
    sealed: str
    expires_at: datetime


@dataclass(frozen=True)
class ClaimRequest:
    """Who wants to work on which delivery, for how long at a time, and why."""

    agreement_id: str
    period: Period
    edition: int
    agreement_digest: str
    recipient: str
    product: str
    worker: str
    lease_seconds: int
    actor: str
    reason: str | None


@dataclass(frozen=True)
class Claim:
    """The right to work on a delivery until the lease runs out; a newer claim, with a higher `token`, ends it."""

    delivery: Delivery
    token: int
    lease_seconds: int
    actor: str
    reason: str | None

    @property
    def id(self) -> str:
        return self.delivery.id

    @property
    def state(self) -> State:
        return self.delivery.state

    @property
    def sealed(self) -> str | None:
        return self.delivery.sealed


@dataclass(frozen=True)
class FileReading:
    """Which bytes of a file of `size` bytes were read, and how it ended; see `schemas.spans.Reading`."""

    size: int
    spans: Spans
    closed: bool
    ended: str


@dataclass(frozen=True)
class Pickup:
    """A recipient read `file` of a delivery, as a whole or in part. `files` are all that the delivery consists of."""

    agreement_id: str
    period: Period
    edition: int
    recipient: str
    file: str
    reading: FileReading
    files: frozenset[str]
    once: str  # the name of this reading, so that a spool that is read twice counts once
    detail: Mapping[str, Any]


def find(connection: Connection, agreement_id: str, period: Period, edition: int) -> Delivery | None:
    return _first(connection, _of_period(agreement_id, period).where(deliveries.c.edition == edition))


def find_by_id(connection: Connection, delivery_id: str) -> Delivery | None:
    return _first(connection, select(deliveries).where(deliveries.c.id == delivery_id))


def editions(connection: Connection, agreement_id: str, period: Period) -> list[Delivery]:
    """Every edition of one agreement and period, newest first."""
    rows = connection.execute(_of_period(agreement_id, period).order_by(desc(deliveries.c.edition)))
    return [_delivery(row) for row in rows]


def of_agreement(connection: Connection, agreement_id: str) -> list[Delivery]:
    """Every delivery under one agreement, of all periods and editions, oldest first."""
    statement = select(deliveries).where(deliveries.c.agreement_id == agreement_id)
    return chosen(connection, statement.order_by(deliveries.c.created_at, deliveries.c.id))


def of_recipient(connection: Connection, recipient: str, holding: str) -> list[Delivery]:
    """The published deliveries to a recipient in whose record of what was staged the text `holding` occurs."""
    table = deliveries.c
    wanted = (table.recipient == recipient) & table.published_at.is_not(None)
    found = table.sealed.contains(holding, autoescape=True)
    return chosen(connection, select(deliveries).where(wanted, found).order_by(table.id))


def chosen(connection: Connection, statement: Select[Any]) -> list[Delivery]:
    """The deliveries whose rows, all columns of them, a statement selects."""
    return [_delivery(row) for row in connection.execute(statement)]


def all_by_id(connection: Connection) -> Iterator[Delivery]:
    """Every delivery. Fetched in batches by key, so that a reader may stop anywhere."""
    statement = select(deliveries).order_by(deliveries.c.id).limit(_BATCH)
    rows = connection.execute(statement).all()
    while rows:
        yield from map(_delivery, rows)
        rows = connection.execute(statement.where(deliveries.c.id > rows[-1].id)).all()


def create(connection: Connection, delivery: Delivery) -> None:
    connection.execute(insert(deliveries), vars(delivery))


def save(connection: Connection, delivery: Delivery, *, held_by: int) -> None:
    """Write all columns; raises `DeliveryBusy` if the row is no longer held under the token `held_by`."""
    statement = update(deliveries).where(deliveries.c.id == delivery.id, deliveries.c.token == held_by)
    if connection.execute(statement.values(**vars(delivery))).rowcount != 1:
        raise DeliveryBusy(f"{delivery.name} is no longer held by this worker")


def _of_period(agreement_id: str, period: Period) -> Select[Any]:
    return select(deliveries).where(deliveries.c.agreement_id == agreement_id, deliveries.c.period == str(period))


def _first(connection: Connection, statement: Select[Any]) -> Delivery | None:
    row = connection.execute(statement).first()
    return None if row is None else _delivery(row)


def _delivery(row: Row[Any]) -> Delivery:
    fields = dict(row._mapping)  # noqa: SLF001 - the public name of SQLAlchemy for a row as a mapping
    return Delivery(**{**fields, "state": State(fields["state"])})
