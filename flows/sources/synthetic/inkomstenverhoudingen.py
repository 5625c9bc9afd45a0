"""Made-up income relations: each with one row per month, so that a period of n months selects n/12 of the rows.

Beyond what the contract can say: a benefit has no kind of employment and no paid hours; social assistance is no wage
for social insurance; every month lies within its relation; corrections are negative, hours and amounts alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from flows.sources.synthetic.columns import (
    FIRST_DAYS,
    LAST_DAYS,
    MONTHS,
    YEAR,
    Numbers,
    choose,
    code,
    day,
    days,
    month_numbers,
    monthly,
    text,
)
from flows.sources.synthetic.people import EMPLOYERS
from flows.sources.synthetic.recipe import Recipe, Units

_SORTS = ("15", "11", "13", "31", "33", "39", "40", "43")  # code soort IKV: three kinds of wages, then benefits
_SORT_SHARES = (0.72, 0.05, 0.02, 0.04, 0.05, 0.03, 0.03, 0.06)
_WAGES = 3  # the first of _SORTS are wages
_ASSISTANCE = 7  # Participatiewet
_KINDS = ("1", "11", "18", "7", "82", "83")  # code aard arbeidsverhouding
_KIND_SHARES = (0.75, 0.1, 0.07, 0.02, 0.04, 0.02)
_ENDING_SHARE = 0.12  # of relations whose last day is known: on 31 December or in the half year after it
_CORRECTION_SHARE = 0.01  # of rows
_HOURS = 184  # at most, in a month of 23 days


def _columns(units: Units) -> Mapping[str, pa.Array]:
    rng, size = units.rng, units.size
    sort = choose(rng, _SORT_SHARES, size)
    benefit = sort >= _WAGES
    ending = rng.random(size) >= _ENDING_SHARE
    hours, paid = _hours_and_pay(rng, np.where(benefit, 0, _HOURS))
    month = month_numbers(size)
    return {
        "bsn": text(units.people.bsn(units.numbers), monthly(np.arange(size, dtype=np.int32))),
        "loonheffingennummer": text(units.people.employers, monthly(rng.integers(0, EMPLOYERS, size, np.int32))),
        "nummer_ikv": pa.array(monthly(units.people.ordinal(units.numbers))),
        "code_soort_ikv": code(_SORTS, monthly(sort)),
        "code_aard_arbeidsverhouding": code(_KINDS, monthly(choose(rng, _KIND_SHARES, size)), monthly(benefit)),
        "datum_aanvang_ikv": days(monthly(day(YEAR - 1, 12, 31) - rng.integers(0, 7000, size, np.int32))),
        "datum_einde_ikv": days(monthly(day(YEAR, 12, 31) + rng.integers(0, 180, size, np.int32)), monthly(ending)),
        "datum_aanvang_tijdvak": days(FIRST_DAYS[month]),
        "datum_einde_tijdvak": days(LAST_DAYS[month]),
        "aantal_verloonde_uren": pa.array(hours),
        "sv_loon": pa.array(paid * monthly(sort != _ASSISTANCE)),
        "loon_lb_ph": pa.array(paid - (paid >> 5)),
    }


def _hours_and_pay(rng: np.random.Generator, most_hours: Numbers) -> tuple[Numbers, Numbers]:
    """Hours and eurocents of every row; the median is about 3,300 euros a month."""
    rows = len(most_hours) * MONTHS
    wage = monthly(rng.lognormal(12.7, 0.5, len(most_hours)))
    paid = (wage * (0.9 + 0.2 * rng.random(rows))).astype(np.int64)
    hours = (monthly(most_hours) * rng.random(rows)).astype(np.int64)
    corrected = rng.integers(0, rows, rng.binomial(rows, _CORRECTION_SHARE))
    paid[corrected] = -np.abs(paid[corrected]) // 10
    hours[corrected] = -np.abs(hours[corrected]) // 10
    return hours, paid


INKOMSTENVERHOUDINGEN = Recipe(
    columns=_columns, rows_per_unit=MONTHS, units_per_person=3, period_column="datum_aanvang_tijdvak"
)
