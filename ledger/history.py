"""The history of deliveries as its readers see it: which data, to whom, over which period, when, and why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Row, desc, select

from core.database import reading
from ledger.states import State
from ledger.tables import deliveries


@dataclass(frozen=True)
class HistoryRow:
    """One delivery. Times are RFC 3339 text in UTC; `error` is why the last try stopped, while it is stopped."""

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


def history(engine: Engine, recipient: str | None = None, agreement: str | None = None) -> list[HistoryRow]:
    """The deliveries of one recipient, one agreement or all, newest first."""
    table = deliveries.c
    statement = select(deliveries).order_by(
        desc(table.created_at), table.agreement_id, desc(table.period), desc(table.edition)
    )
    if recipient is not None:
        statement = statement.where(table.recipient == recipient)
    if agreement is not None:
        statement = statement.where(table.agreement_id == agreement)
    with reading(engine) as connection:
        return [_history_row(row) for row in connection.execute(statement)]


def _history_row(row: Row[Any]) -> HistoryRow:
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
    )
