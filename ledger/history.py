"""The history of deliveries as its readers see it: which data, to whom, over which period, when, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from json import loads
from typing import Any

from sqlalchemy import Engine, Row, desc, select

from core.database import reading
from ledger import events
from ledger.events import Event
from ledger.states import State
from ledger.tables import deliveries
from ledger.vocabulary import Action, Result
from schemas.spans import Spans, add_span, count


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


@dataclass
class _Told:
    """What the events of one delivery add to its row."""

    read: dict[str, Spans] = field(default_factory=dict)
    cases: dict[int, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def history(engine: Engine, recipient: str | None = None, agreement: str | None = None) -> list[HistoryRow]:
    """The deliveries of one recipient, one agreement or all, newest first."""
    table = deliveries.c
    chosen = [
        column == value
        for column, value in ((table.recipient, recipient), (table.agreement_id, agreement))
        if value is not None
    ]
    newest_first = (desc(table.created_at), table.agreement_id, desc(table.period), desc(table.edition))
    told: dict[str, _Told] = {}
    with reading(engine) as connection:
        rows = connection.execute(select(deliveries).where(*chosen).order_by(*newest_first)).all()
        for event in events.of_deliveries(connection, _TELLERS, select(table.id).where(*chosen)):
            _TELLERS[Action(event.body.action)](told.setdefault(str(event.body.delivery_id), _Told()), event)
        closed = {loads(event.body.detail)["case"] for event in events.of_actions(connection, Action.CASE_CLOSED)}
    return [_history_row(row, told.get(row.id, _Told()), closed) for row in rows]


def _history_row(row: Row[Any], told: _Told, closed: set[int]) -> HistoryRow:
    read = sum(count(spans) for spans in told.read.values())
    open_cases = [reason for number, reason in told.cases.items() if number not in closed]
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


_TELLERS: dict[Action, Callable[[_Told, Event], None]] = {
    Action.DELIVERY_READ: _read,
    Action.DELIVERY_CONFIRMED: _confirmed,
    Action.DELIVERY_REJECTED: _rejected,
    Action.DELIVERY_PUBLISHED: _published,
    Action.DELIVERY_REMOVED: _removed,
    Action.DELIVERY_EXPIRING: _expiring,
    Action.DELIVERY_LIMITED: _limited,
    Action.DELIVERY_SEALED: _sealed,
}
