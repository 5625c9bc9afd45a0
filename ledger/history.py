"""The history of deliveries as its readers see it: which data, to whom, over which period, when, and why not.

Read in pages, newest first. A page begins after a delivery that is named, not after a number of them: so it costs the
same wherever it is, and what is added meanwhile moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from json import loads
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, desc, select, tuple_

from core.database import reading
from core.errors import UnusableInput
from ledger import events
from ledger.events import Event
from ledger.states import State
from ledger.tables import deliveries
from ledger.vocabulary import Action, Result
from schemas.spans import Spans, add_span, count

PAGE = 50  # deliveries, as people read them
_AT_ONCE = 500  # deliveries, where all are read


@dataclass(frozen=True)
class Choice:
    """Which deliveries: all, or those that fit everything that is given.

    `since` and `before` are RFC 3339 text in UTC: begun then or later, and begun earlier.
    """

    recipient: str | None = None
    agreement: str | None = None
    product: str | None = None
    period: str | None = None
    states: tuple[State, ...] = ()
    since: str | None = None
    before: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        table = deliveries.c
        equal = (
            (table.recipient, self.recipient),
            (table.agreement_id, self.agreement),
            (table.product, self.product),
            (table.period, self.period),
        )
        found: list[ColumnElement[bool]] = [column == value for column, value in equal if value is not None]
        if self.states:
            found.append(table.state.in_([state.value for state in self.states]))
        if self.since is not None:
            found.append(table.created_at >= self.since)
        if self.before is not None:
            found.append(table.created_at < self.before)
        return found


ALL = Choice()


@dataclass(frozen=True)
class HistoryRow:
    """One delivery. Times are RFC 3339 text in UTC; `error` is why the last try stopped, while it is stopped.

    `partly` is how many bytes were fetched of one that was not fetched whole, `reminded` when operators were told that
    nobody did. `signed` says that the receipt which confirmed it was. `case` is the reason that the recipient gave why
    it does not accept it, while nobody closed that. `kept_out` are the rows about people who are no participants: for
    operators, not for recipients.
    """

    product: str
    agreement: str
    recipient: str
    period: str
    edition: int
    state: State
    rows: int | None
    bytes: int | None
    published: str | None
    expires: str | None
    picked_up: str | None
    reason: str | None
    error: str | None
    partly: int | None = None
    confirmed: str | None = None
    signed: bool = False
    case: str | None = None
    reminded: str | None = None
    removed: str | None = None
    kept_out: int | None = None
    mutations: dict[str, int] | None = None
    same_data_as: int | None = None

    @property
    def name(self) -> str:
        """What the next page begins after."""
        return f"{self.agreement}/{self.period}/{self.edition}"

    def for_recipient(self) -> HistoryRow:
        """Without what is for operators alone."""
        return replace(self, kept_out=None, reminded=None)


@dataclass(frozen=True)
class Page:
    """Some deliveries. `next` is what the page after it begins after; None if there is no more."""

    rows: tuple[HistoryRow, ...]
    next: str | None


@dataclass
class _Told:
    """What the events of one delivery add to its row."""

    read: dict[str, Spans] = field(default_factory=dict)
    cases: dict[int, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


_COLUMNS = tuple(column for column in deliveries.c if column.name != "sealed")  # which is long, and not told
_NEWEST_FIRST = tuple(
    desc(column)
    for column in (deliveries.c.created_at, deliveries.c.agreement_id, deliveries.c.period, deliveries.c.edition)
)


def page(engine: Engine, choice: Choice, limit: int = PAGE, after: str | None = None) -> Page:
    """At most `limit` of the chosen deliveries, newest first, from the one that comes after `after`.

    `UnusableInput` if `after` names no delivery (AGREEMENT/PERIOD/EDITION).
    """
    with reading(engine) as connection:
        return _page(connection, choice, limit, after)


def history(engine: Engine, choice: Choice = ALL, after: str | None = None) -> Iterator[HistoryRow]:
    """All of the chosen deliveries, newest first, in bounded memory. Nothing is held while the reader is slow."""
    found = page(engine, choice, _AT_ONCE, after)
    yield from found.rows
    while found.next is not None:
        found = page(engine, choice, _AT_ONCE, found.next)
        yield from found.rows


def _page(connection: Connection, choice: Choice, limit: int, after: str | None) -> Page:
    wanted = choice.conditions() if after is None else [*choice.conditions(), *_comes_after(connection, after)]
    query = select(*_COLUMNS).where(*wanted).order_by(*_NEWEST_FIRST).limit(limit + 1)
    found = connection.execute(query).all()
    shown, more = found[:limit], len(found) > limit
    told: dict[str, _Told] = {}
    for event in events.of_deliveries(connection, [row.id for row in shown]):
        if (teller := _TELLERS.get(event.body.action)) is not None:
            teller(told.setdefault(str(event.body.delivery_id), _Told()), event)
    _leave_closed_cases_out(connection, told)
    rows = tuple(_history_row(row, told.get(row.id, _Told())) for row in shown)
    return Page(rows, rows[-1].name if more else None)


def _comes_after(connection: Connection, name: str) -> list[ColumnElement[bool]]:
    """What is true of deliveries that come after the named one."""
    table = deliveries.c
    agreement, _, rest = name.partition("/")
    period, _, edition = rest.partition("/")
    created = None
    if edition.isdecimal() and len(edition) < 10:
        own = (table.agreement_id == agreement, table.period == period, table.edition == int(edition))
        created = connection.execute(select(table.created_at).where(*own)).scalar_one_or_none()
    if created is None:
        raise UnusableInput("there is no delivery of that name to go on after: take the name from the page before it")
    at_the_same_time = tuple_(table.agreement_id, table.period, table.edition) < (agreement, period, int(edition))
    return [table.created_at <= created, (table.created_at < created) | at_the_same_time]


def _leave_closed_cases_out(connection: Connection, told: dict[str, _Told]) -> None:
    numbers = [number for each in told.values() for number in each.cases]
    closed = events.which_once(connection, [f"case closed {number}" for number in numbers])
    for each in told.values():
        each.cases = {number: why for number, why in each.cases.items() if f"case closed {number}" not in closed}


def _history_row(row: Row[Any], told: _Told) -> HistoryRow:
    read = sum(count(spans) for spans in told.read.values())
    open_cases = list(told.cases.values())
    return HistoryRow(
        product=row.product,
        agreement=row.agreement_id,
        recipient=row.recipient,
        period=row.period,
        edition=row.edition,
        state=State(row.state),
        rows=row.rows,
        bytes=row.bytes,
        published=row.published_at,
        expires=row.expires_at,
        picked_up=row.picked_up_at,
        reason=row.reason,
        error=row.error,
        partly=read if read and row.picked_up_at is None else None,
        case=open_cases[-1] if open_cases else None,
        **told.facts,
    )


def _read(told: _Told, event: Event) -> None:
    detail = loads(event.body.detail)
    spans = told.read.get(detail["file"], ())
    for start, end in detail["spans"]:
        spans = add_span(spans, start, end)
    told.read[detail["file"]] = spans


def _confirmed(told: _Told, event: Event) -> None:
    signed = told.facts.get("signed", False) or loads(event.body.detail).get("signer") is not None
    told.facts |= {"confirmed": told.facts.get("confirmed", event.body.at), "signed": signed}


def _rejected(told: _Told, event: Event) -> None:
    told.cases[event.body.seq] = loads(event.body.detail)["reason"]


def _published(told: _Told, event: Event) -> None:  # noqa: ARG001 - the same for every event
    """What was removed is there again."""
    told.facts.pop("removed", None)


def _removed(told: _Told, event: Event) -> None:
    if event.body.result == Result.OK:
        told.facts["removed"] = event.body.at


def _expiring(told: _Told, event: Event) -> None:
    told.facts["reminded"] = event.body.at


def _limited(told: _Told, event: Event) -> None:
    told.facts["kept_out"] = loads(event.body.detail)["kept_out"]


def _sealed(told: _Told, event: Event) -> None:
    detail = loads(event.body.detail)
    told.facts |= {"mutations": detail.get("mutations"), "same_data_as": detail.get("same_data_as_edition")}


_TELLERS: dict[str, Callable[[_Told, Event], None]] = {
    Action.DELIVERY_READ: _read,
    Action.DELIVERY_CONFIRMED: _confirmed,
    Action.DELIVERY_REJECTED: _rejected,
    Action.DELIVERY_PUBLISHED: _published,
    Action.DELIVERY_REMOVED: _removed,
    Action.DELIVERY_EXPIRING: _expiring,
    Action.DELIVERY_LIMITED: _limited,
    Action.DELIVERY_SEALED: _sealed,
}
