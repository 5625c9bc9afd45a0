"""The history as one Dutch page that needs nothing else: no script, no font, no picture; to read, keep and print.

Everything that people typed is escaped by the template. Times are those of the Netherlands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.clock import from_rfc3339
from core.dutch import dutch_period, grouped, local_time
from core.text import printable
from ledger.history import HistoryRow
from ledger.states import DELIVERED, NO_ROWS, REVOKED, STOPPED, State
from schemas.pages import template
from schemas.receipts import Rejection

STATE_LABELS = {
    State.PLANNED: "gepland",
    State.EXTRACTING: "wordt samengesteld",
    State.SEALED: "versleuteld",
    State.PUBLISHING: "wordt klaargezet",
    State.PUBLISHED: "klaar om op te halen",
    State.PICKED_UP: "opgehaald",
    State.CONFIRMED: "ontvangst bevestigd",
    State.EXPIRED: "verlopen",
    State.REFUSED: "geweigerd",
    State.FAILED: "mislukt",
    State.CANCELLED: "geannuleerd",
    State.SUPERSEDED: "vervangen door een nieuwere editie",
    State.SKIPPED: "overgeslagen: geen rijen",
}
REASONS = {
    Rejection.DAMAGED: "beschadigd of niet volledig",
    Rejection.SIGNATURE: "handtekening klopt niet",
    Rejection.CANNOT_OPEN: "niet te openen",
    Rejection.CONTENT: "inhoud is niet zoals afgesproken",
    Rejection.UNEXPECTED: "niet verwacht",
    Rejection.OTHER: "een andere reden",
}
_REASONS = {
    NO_ROWS: "geen rijen in dit tijdvak: er is niets geleverd, zoals afgesproken",
    REVOKED: "de afspraak is ingetrokken",
}  # those that we give ourselves


@dataclass(frozen=True)
class _Moment:
    """A time for the page: the machine's form, and day and minute for people in the Netherlands."""

    utc: str
    day: str
    minute: str


@dataclass(frozen=True)
class _Line:
    """One table row as text in Dutch; `kind` is its look: delivered, stopped or other."""

    row: HistoryRow
    state: str
    kind: str
    period: tuple[str, ...]
    rows: str
    size: str
    published: _Moment | None
    expires: _Moment | None
    picked_up: _Moment | None
    confirmed: _Moment | None
    told: tuple[str, ...]
    reason: str | None


def render(
    rows: Sequence[HistoryRow], made: datetime, *, recipient: str | None = None, agreement: str | None = None
) -> str:
    """The page as HTML. `recipient` and `agreement` are what the rows were chosen by, and are told on the page."""
    return template("history.html.j2", "apps.cli", printable=printable).render(
        lines=[_line(row) for row in rows], made=" ".join(local_time(made)), recipient=recipient, agreement=agreement
    )


def _line(row: HistoryRow) -> _Line:
    return _Line(
        row=row,
        state=STATE_LABELS[row.state],
        kind="delivered" if row.state in DELIVERED else "stopped" if row.state in STOPPED else "other",
        period=dutch_period(row.period),
        rows="" if row.rows is None else grouped(row.rows),
        size="" if row.bytes is None else _size(row.bytes),
        published=_moment(row.published),
        expires=_moment(row.expires),
        picked_up=_moment(row.picked_up),
        confirmed=_moment(row.confirmed),
        told=_told(row),
        reason=row.reason and _in_dutch(row.reason),
    )


def _in_dutch(reason: str) -> str:
    for ours, dutch in _REASONS.items():
        reason = reason.replace(ours, dutch)
    return reason


def _told(row: HistoryRow) -> tuple[str, ...]:
    """What else happened, for the recipient; not how many rows of others were kept out."""
    lines = []
    if row.mutations is not None:
        new, changed, ended = (grouped(row.mutations[name]) for name in ("new", "changed", "ended"))
        lines.append(f"{new} nieuw, {changed} veranderd, {ended} beëindigd")
    if row.same_data_as is not None:
        lines.append(f"dezelfde gegevens als editie {row.same_data_as}")
    if row.partly is not None:
        lines.append(f"voor een deel opgehaald: {_size(row.partly)}")
    if row.case is not None:
        lines.append(f"niet aanvaard door de afnemer: {REASONS[Rejection(row.case)]}; wordt uitgezocht")
    if row.removed is not None:
        moment = _moment(row.removed)
        lines.append(f"verwijderd op {moment.day}" if moment else "verwijderd")
    return tuple(lines)


def _moment(time: str | None) -> _Moment | None:
    if time is None:
        return None
    day, minute = local_time(from_rfc3339(time))
    return _Moment(time, day, minute)


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}".replace(".", ",")
    return f"{size} bytes"
