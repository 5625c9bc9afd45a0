"""The only place that asks what time it is. Times are UTC, aware, and cut to milliseconds so that they survive JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Protocol
from zoneinfo import ZoneInfo

_NETHERLANDS = ZoneInfo("Europe/Amsterdam")


class Clock(Protocol):
    def __call__(self) -> datetime: ...


def utc_now() -> datetime:
    """The current time in UTC with a resolution of one millisecond."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def to_rfc3339(moment: datetime) -> str:
    """`2026-11-24T15:04:05.123Z` (RFC 3339), always UTC and always three decimals, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime:
    """Inverse of `to_rfc3339`; raises ValueError on text without an offset, or outside the years 1 to 9999 in UTC."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a timestamp needs an offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        pass
    raise ValueError("a timestamp lies outside the calendar")


def dutch_date(moment: datetime) -> date:
    """The calendar day in the Netherlands, which is what an agreement's dates mean."""
    return moment.astimezone(_NETHERLANDS).date()


def dutch_midnight(day: date) -> datetime:
    """The moment, in UTC, at which a calendar day begins in the Netherlands."""
    return datetime.combine(day, time(), _NETHERLANDS).astimezone(UTC)
