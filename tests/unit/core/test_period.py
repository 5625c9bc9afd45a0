"""Periods: one normal name for each span of days."""

from __future__ import annotations

import contextlib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import UnusableInput
from core.period import Period


@pytest.mark.parametrize(
    ("text", "name", "start", "end_exclusive"),
    [
        ("2026", "2026", date(2026, 1, 1), date(2027, 1, 1)),
        ("2026-Q1", "2026-Q1", date(2026, 1, 1), date(2026, 4, 1)),
        ("2026-Q4", "2026-Q4", date(2026, 10, 1), date(2027, 1, 1)),
        ("2026-12", "2026-12", date(2026, 12, 1), date(2027, 1, 1)),
        ("2024-02-29", "2024-02-29", date(2024, 2, 29), date(2024, 3, 1)),
        ("2026-01-01--2026-01-31", "2026-01", date(2026, 1, 1), date(2026, 2, 1)),
        ("2026-01--2026-03", "2026-Q1", date(2026, 1, 1), date(2026, 4, 1)),
        ("2026-Q1--2026-Q4", "2026", date(2026, 1, 1), date(2027, 1, 1)),
        ("2026-01-05--2026-01-05", "2026-01-05", date(2026, 1, 5), date(2026, 1, 6)),
        ("2025-12-30--2026-02", "2025-12-30--2026-02-28", date(2025, 12, 30), date(2026, 3, 1)),
        ("0999", "0999", date(999, 1, 1), date(1000, 1, 1)),
        ("9999-01-05", "9999-01-05", date(9999, 1, 5), date(9999, 1, 6)),
    ],
)
def test_every_accepted_form_has_its_normal_name(text: str, name: str, start: date, end_exclusive: date) -> None:
    period = Period.parse(text)
    assert (str(period), period.start, period.end_exclusive) == (name, start, end_exclusive)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "26",
        "2026-13",
        "2026-00",
        "2026-Q5",
        "2026-Q0",
        "2026-1",
        "2026-02-30",
        "2026-01-31--2026-01-01",
        "--",
        "2026--",
        "--2026",
        "2026-01--2026-02--2026-03",
        " 2026",
        "2026\n",
        "٢٠٢٦",
        "0000",
        "9999",
        "9999-12-31",
        "2026-q1",
    ],
)
def test_anything_else_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(UnusableInput, match="period is not of the form") as caught:
        Period.parse(text)
    assert caught.value.__context__ is None


@given(st.dates(max_value=date(9999, 12, 30)), st.dates(max_value=date(9999, 12, 30)))
def test_the_normal_name_reads_back_as_the_same_period(one: date, other: date) -> None:
    start, end = sorted((one, other))
    period = Period.parse(f"{start.isoformat()}--{end.isoformat()}")
    assert (period.start, period.last_day) == (start, end)
    assert Period.parse(str(period)) == period


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    with contextlib.suppress(UnusableInput):
        assert Period.parse(str(Period.parse(text))) == Period.parse(text)
