"""The period of a delivery: a span of whole days with one normal name.

>>> str(Period.parse("2026-01-01--2026-01-31"))
'2026-01'
>>> Period.parse("2026-Q1").end_exclusive.isoformat()
'2026-04-01'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from core.errors import UnusableInput

_FORMS = "YYYY, YYYY-Qn, YYYY-MM, YYYY-MM-DD or START--END"


@dataclass(frozen=True, order=True)
class Period:
    """Whole days from `start` up to, not including, `end_exclusive`. `str()` gives the shortest accepted form."""

    start: date
    end_exclusive: date

    @classmethod
    def parse(cls, text: str) -> Period:
        """Read YYYY, YYYY-Qn, YYYY-MM, YYYY-MM-DD or START--END (END included); raise `UnusableInput` otherwise."""
        try:
            first, separator, last = text.partition("--")
            period = cls._simple(first)
            if separator:
                period = cls(period.start, cls._simple(last).end_exclusive)
        except (ValueError, OverflowError):
            period = None
        if period is None or period.start >= period.end_exclusive:
            raise UnusableInput(f"the period is not of the form {_FORMS}, with START before END")
        return period

    @classmethod
    def _simple(cls, text: str) -> Period:
        if re.fullmatch(r"[0-9]{4}", text):
            return cls(date(int(text), 1, 1), date(int(text) + 1, 1, 1))
        if match := re.fullmatch(r"([0-9]{4})-Q([1-4])", text):
            year, quarter = int(match[1]), int(match[2])
            return cls(date(year, 3 * quarter - 2, 1), _month_after(year, 3 * quarter))
        if match := re.fullmatch(r"([0-9]{4})-([0-9]{2})", text):
            year, month = int(match[1]), int(match[2])
            return cls(date(year, month, 1), _month_after(year, month))
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            day = date.fromisoformat(text)
            return cls(day, day + timedelta(days=1))
        raise ValueError(text)

    @property
    def last_day(self) -> date:
        return self.end_exclusive - timedelta(days=1)

    def __str__(self) -> str:
        day = self.start.isoformat()  # strftime would write the year 999 as three digits
        for name in (day[:4], f"{day[:4]}-Q{(self.start.month + 2) // 3}", day[:7], day):
            if self._is(name):
                return name
        return f"{day}--{self.last_day.isoformat()}"

    def _is(self, name: str) -> bool:
        try:
            return self._simple(name) == self
        except (ValueError, OverflowError):  # the year 9999 has no end
            return False


def _month_after(year: int, month: int) -> date:
    return date(year + month // 12, month % 12 + 1, 1)
