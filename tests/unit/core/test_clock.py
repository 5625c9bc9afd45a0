"""Times: aware, UTC, milliseconds, and text whose order is the order of time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import dutch_date, from_rfc3339, to_rfc3339, utc_now

_MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


def test_now_is_in_utc_with_whole_milliseconds() -> None:
    now = utc_now()
    assert now.tzinfo is UTC
    assert now.microsecond % 1000 == 0


def test_text_is_always_utc_with_three_decimals() -> None:
    amsterdam = timezone(timedelta(hours=1))
    assert to_rfc3339(datetime(2026, 11, 24, 16, 4, 5, tzinfo=amsterdam)) == "2026-11-24T15:04:05.000Z"


@pytest.mark.parametrize("text", ["2026-11-24T15:04:05", "2026-11-24", "now", ""])
def test_text_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_rfc3339(text)


@given(_MOMENTS)
def test_text_reads_back_as_the_same_moment(moment: datetime) -> None:
    assert from_rfc3339(to_rfc3339(moment)) == moment


@given(_MOMENTS, _MOMENTS)
def test_the_order_of_text_is_the_order_of_time(one: datetime, other: datetime) -> None:
    assert (to_rfc3339(one) < to_rfc3339(other)) == (one < other)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_outside_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="calendar"):
        from_rfc3339(text)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 12, 31, 22, 59, 59, tzinfo=UTC), date(2026, 12, 31)),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), date(2027, 1, 1)),  # an hour ahead in winter
        (datetime(2026, 6, 30, 21, 59, 59, tzinfo=UTC), date(2026, 6, 30)),
        (datetime(2026, 6, 30, 22, tzinfo=UTC), date(2026, 7, 1)),  # two hours ahead in summer
        (datetime(2026, 3, 28, 23, tzinfo=UTC), date(2026, 3, 29)),  # the day on which summer time begins
        (datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, tzinfo=UTC), date(2026, 3, 30)),  # a day of 23 hours
        (datetime(2026, 10, 25, 22, 59, 59, tzinfo=UTC), date(2026, 10, 25)),  # a day of 25 hours
    ],
)
def test_the_day_in_the_netherlands(moment: datetime, day: date) -> None:
    assert dutch_date(moment) == day
