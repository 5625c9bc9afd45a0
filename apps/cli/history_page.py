"""The history as one Dutch page that needs nothing else: no script, no font, no picture; to read, keep and print.

Everything that people typed is escaped by the template. Times are those of the Netherlands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from core.clock import from_rfc3339
from core.errors import UnusableInput
from core.period import Period
from ledger.history import HistoryRow
from ledger.states import DELIVERED, STOPPED, State

_NETHERLANDS = ZoneInfo("Europe/Amsterdam")
_MONTHS = (
    *("januari", "februari", "maart", "april", "mei", "juni"),
    *("juli", "augustus", "september", "oktober", "november", "december"),
)
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
}


@dataclass(frozen=True)
class _Line:
    """One table row as text in Dutch; `kind` is its look: delivered, stopped or other."""

    row: HistoryRow
    state: str
    kind: str
    period: str
    rows: str
    size: str
    published: str
    expires: str
    picked_up: str


def render(
    rows: Sequence[HistoryRow], made: datetime, *, recipient: str | None = None, agreement: str | None = None
) -> str:
    """The page as HTML. `recipient` and `agreement` are what the rows were chosen by, and are told on the page."""
    environment = Environment(
        loader=PackageLoader("apps.cli"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["printable"] = printable
    return environment.get_template("history.html.j2").render(
        lines=[_line(row) for row in rows], made=_minute_of(made), recipient=recipient, agreement=agreement
    )


def printable(text: str) -> str:
    """`text` without control characters and invisible ones that turn the reading direction."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def dutch_period(text: str) -> str:
    """`januari 2026`, `2e kwartaal 2026`, `1 januari 2026 t/m 15 januari 2026`; what is no period stays as it is."""
    try:
        period = Period.parse(text)
    except UnusableInput:
        return text
    start, last = period.start, period.last_day
    match len(str(period)):
        case 4:
            return f"{start.year}"
        case 7 if "Q" in str(period):
            return f"{(start.month + 2) // 3}e kwartaal {start.year}"
        case 7:
            return f"{_MONTHS[start.month - 1]} {start.year}"
    days = [f"{day.day} {_MONTHS[day.month - 1]} {day.year}" for day in (start, last)]
    return days[0] if start == last else " t/m ".join(days)


def _line(row: HistoryRow) -> _Line:
    return _Line(
        row=row,
        state=STATE_LABELS[row.state],
        kind="delivered" if row.state in DELIVERED else "stopped" if row.state in STOPPED else "other",
        period=dutch_period(row.period),
        rows="" if row.rows is None else _grouped(row.rows),
        size="" if row.bytes is None else _size(row.bytes),
        published=_minute(row.published),
        expires=_minute(row.expires),
        picked_up=_minute(row.picked_up),
    )


def _minute(time: str | None) -> str:
    return "" if time is None else _minute_of(from_rfc3339(time))


def _minute_of(moment: datetime) -> str:
    local = moment.astimezone(_NETHERLANDS)
    return f"{local:%d-%m-%Y %H:%M}"


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", ".")


def _size(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}".replace(".", ",")
    return f"{size} bytes"
