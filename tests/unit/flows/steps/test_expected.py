"""What the delivery before it tells about how long one takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.steps.expected import Pace

BEGAN = datetime(2026, 4, 5, 12, tzinfo=UTC)


def pace(rows, expected, seconds=60):
    return Pace(rows, expected, BEGAN, BEGAN + timedelta(seconds=seconds))


def test_a_quarter_in_a_minute_ends_three_minutes_later():
    assert pace(250, 1000).percent == 25
    assert str(pace(250, 1000)) == "250 rows, expected end 12:04:00 UTC"


@pytest.mark.parametrize(("rows", "expected"), [(10, None), (0, 1000), (1000, 1000), (1500, 1000)])
def test_without_a_ground_no_end_is_told(rows, expected):
    assert pace(rows, expected).end is None
    assert str(pace(rows, expected)) == f"{rows:,} rows"


def test_a_delivery_that_is_larger_than_the_one_before_is_not_done():
    assert pace(1500, 1000).percent == 99
