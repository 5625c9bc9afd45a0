"""How periods, moments and numbers read in Dutch, for pages that recipients get. Times are those of the Netherlands.

>>> dutch_period("2026-Q2")
('2e kwartaal 2026',)
>>> grouped(1234567)
'1.234.567'
"""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from core.errors import UnusableInput
from core.period import Period

_NETHERLANDS = ZoneInfo("Europe/Amsterdam")
_MONTHS = (
    *("januari", "februari", "maart", "april", "mei", "juni"),
    *("juli", "augustus", "september", "oktober", "november", "december"),
)


def dutch_period(text: str) -> tuple[str, ...]:
    """The lines `januari 2026`, `2e kwartaal 2026`, or `1 januari 2026 t/m`, `9 mei 2026`; no period: as it is."""
    try:
        period = Period.parse(text)
    except UnusableInput:
        return (text,)
    start, last = period.start, period.last_day
    match len(str(period)):
        case 4:
            return (f"{start.year}",)
        case 7 if "Q" in str(period):
            return (f"{(start.month + 2) // 3}e kwartaal {start.year}",)
        case 7:
            return (f"{_MONTHS[start.month - 1]} {start.year}",)
    first, final = (f"{day.day} {_MONTHS[day.month - 1]} {day.year}" for day in (start, last))
    return (first,) if start == last else (f"{first} t/m", final)


def local_time(moment: datetime) -> tuple[str, str]:
    """Day and minute, for example `02-07-2026` and `00:30`."""
    local = moment.astimezone(_NETHERLANDS)
    return f"{local:%d-%m-%Y}", f"{local:%H:%M}"


def grouped(number: int) -> str:
    """Digits in groups of three, as Dutch writes them."""
    return f"{number:,}".replace(",", ".")
