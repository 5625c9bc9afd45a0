"""Made-up mutations of disability benefits: every benefit has one mutation a month, about that month or an earlier one.

Most mutations report the month's new period. A correction, and every mutation after the benefit has ended, changes or
withdraws an earlier period; what is withdrawn is negative. Beyond what the contract can say: a benefit that has ended
has a reason, periods end with it, the class fits the law, and the dates follow one another from the first day of
incapacity to the decision.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from flows.sources.synthetic.columns import (
    FIRST_DAYS,
    LAST_DAYS,
    MONTHS,
    YEAR,
    Days,
    Numbers,
    PartialDates,
    choose,
    code,
    day,
    days,
    month_numbers,
    monthly,
    text,
)
from flows.sources.synthetic.recipe import Recipe, Units

BENEFITS = ("40", "39", "37", "32", "38", "36")  # code soort IKV: WGA, IVA, Wajong, WAO, samenloop, Waz
BENEFIT_SHARES = (0.42, 0.25, 0.15, 0.13, 0.03, 0.02)
FULL = (1, 2)  # those of BENEFITS that need full incapacity
CLASSES = ("1", "2", "3", "4", "5", "6", "7", "8")  # less than 15 % up to 80-100 %
LOWEST_CLASS = 3  # of CLASSES, that gives a benefit here: 35-45 %
PARTIAL_SHARES = (0.93, 0.04, 0.02, 0.01)  # known, without day, without month too, unknown
WAITING_DAYS = 728  # between the first day of incapacity and the benefit: 104 weeks
_FIRST_BEGIN, _LAST_BEGIN = day(2006, 1, 1), day(YEAR - 1, 10, 31)
_DECISION_DAYS = 56
_REASONS = (
    "Herstel",
    "Overlijden",
    "Pensioengerechtigde leeftijd bereikt",
    "Detentie",
    "Einde maximale duur",
    "Op eigen verzoek",
)
_REASON_SHARES = (0.35, 0.2, 0.25, 0.03, 0.12, 0.05)
_GRANTED = ("T", "G", "H")
_GRANTED_SHARES = (0.85, 0.08, 0.07)
_ENDED_SHARE = 0.15  # of benefits, somewhere in the year
_CORRECTION_SHARE, _WITHDRAWN_SHARE = 0.04, 0.3  # of rows; of those
_MUTATIONS = ("N", "W", "V")
_HOURS = tuple(f"{hours:02}{minutes:02}" for hours in range(8, 41) for minutes in (0, 30))
_PER_MONTH, _PER_DAY = 0, 1
_PER_DAY_SHARE, _DAYS_A_MONTH = 0.12, 21.75
_DATES = PartialDates.between(_FIRST_BEGIN - WAITING_DAYS, day(YEAR, 12, 31))


def _columns(units: Units) -> Mapping[str, pa.Array]:
    rng, size = units.rng, units.size
    begin = rng.integers(_FIRST_BEGIN, _LAST_BEGIN, size, np.int32)
    benefit = choose(rng, BENEFIT_SHARES, size)
    end_month, end = _ends(rng, size)
    month, about, mutation = _mutations(rng, end_month)
    gone, stop = month < monthly(end_month), monthly(end)  # not gone before the month in which it ends
    per_day = rng.random(size) < _PER_DAY_SHARE
    return {
        "bsn": text(units.people.bsn(units.numbers), monthly(np.arange(size, dtype=np.int32))),
        "volgnummer_uitkeringsverhouding": pa.array(monthly(units.people.ordinal(units.numbers))),
        "code_soort_uitkering": code(BENEFITS, monthly(benefit)),
        "code_ao_klasse": code(CLASSES, monthly(classes(rng, benefit))),
        "datum_aanvang_ao_klasse": _dates(rng, _class_begins(rng, begin)),
        "datum_eerste_ao_dag": _dates(rng, begin - WAITING_DAYS),
        "datum_aanvraag": _dates(rng, begin - rng.integers(60, 180, size, np.int32)),
        "code_beslissing": code(_GRANTED, monthly(choose(rng, _GRANTED_SHARES, size))),
        "datum_dagtekening_beslissing": days(monthly(begin + rng.integers(-40, _DECISION_DAYS, size, np.int32))),
        "datum_aanvang_uitkeringsverhouding": days(monthly(begin)),
        "datum_einde_uitkeringsverhouding": days(stop, gone),
        "reden_einde_uitkeringsverhouding": code(_REASONS, monthly(choose(rng, _REASON_SHARES, size)), gone),
        "uren_per_week_grondslag": code(_HOURS, monthly(rng.integers(0, len(_HOURS), size, np.int32))),
        "datum_aanvang_uitkeringsperiode": days(FIRST_DAYS[about]),
        "datum_einde_uitkeringsperiode": days(np.minimum(LAST_DAYS[about], stop)),
        "code_uitkeringsperiode": code(("6", "1"), monthly(per_day.astype(np.int32))),
        "bruto_uitkeringsbedrag": pa.array(_amounts(rng, per_day, mutation)),
        "code_mutatie": code(_MUTATIONS, mutation),
        "datum_mutatie": days(FIRST_DAYS[month] + rng.integers(0, 28, len(month), np.int32)),
    }


def _dates(rng: np.random.Generator, values: Days) -> pa.Array:
    texts, index = _DATES.blurred(rng, values, PARTIAL_SHARES)
    return text(texts, monthly(index.astype(np.int32)))


def classes(rng: np.random.Generator, benefit: NDArray[np.int32]) -> NDArray[np.int32]:
    """A class of incapacity that fits each benefit."""
    partial = rng.integers(LOWEST_CLASS, len(CLASSES), len(benefit), np.int32)
    return np.where(np.isin(benefit, FULL), np.int32(len(CLASSES) - 1), partial)


def _class_begins(rng: np.random.Generator, begin: Days) -> Days:
    """The class counts from the start of most benefits, and of others since a reassessment before this year."""
    reassessed = begin + (rng.random(len(begin)) * (_LAST_BEGIN - begin)).astype(np.int32)
    return np.where(rng.random(len(begin)) < 0.6, begin, reassessed)


def _ends(rng: np.random.Generator, size: int) -> tuple[NDArray[np.int32], Days]:
    """The month in which each benefit ends, `MONTHS` if it goes on, and the day."""
    month = np.where(rng.random(size) < _ENDED_SHARE, rng.integers(0, MONTHS, size, np.int32), np.int32(MONTHS))
    known = np.minimum(month, MONTHS - 1)
    ended = FIRST_DAYS[known] + rng.integers(0, 28, size, np.int32)
    return month, np.where(month < MONTHS, ended, LAST_DAYS[-1]).astype(np.int32)


def _mutations(
    rng: np.random.Generator, end_month: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Of every row: the month in which it is reported, the month that it is about, and which of `_MUTATIONS` it is."""
    month, last = month_numbers(len(end_month)), monthly(end_month)
    kind = (month > last).astype(np.int32)
    about = np.minimum(month, last)
    rows = len(month)
    corrected = np.unique(rng.integers(0, rows, rng.binomial(rows, _CORRECTION_SHARE)))
    corrected = corrected[month[corrected] > 0]
    about[corrected] = np.minimum(about[corrected], month[corrected] - 1)
    kind[corrected] = 1 + (rng.random(len(corrected)) < _WITHDRAWN_SHARE)
    return month, about, kind


def _amounts(rng: np.random.Generator, per_day: NDArray[np.bool_], mutation: NDArray[np.int32]) -> Numbers:
    """Eurocents gross for each row; the median is about 1,800 euros a month."""
    amount = rng.lognormal(12.1, 0.35, len(per_day)) / np.where(per_day, _DAYS_A_MONTH, 1.0)
    paid = monthly(amount.astype(np.int64))
    changed = np.flatnonzero(mutation == 1)
    paid[changed] = (paid[changed] * rng.uniform(0.8, 1.2, len(changed))).astype(np.int64)
    return np.where(mutation == 2, -paid, paid)


UITKERINGEN_AO = Recipe(columns=_columns, rows_per_unit=MONTHS, units_per_person=2, period_column="datum_mutatie")
