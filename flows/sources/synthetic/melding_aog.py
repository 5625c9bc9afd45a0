"""Made-up notices that a claim was assessed: one per unit, on days spread over the year.

Beyond what the contract can say: only a claim that was granted gives a right, and only a right has a first day and a
class of incapacity; the dates follow one another from the first day of incapacity to the notice.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
import pyarrow as pa

from flows.sources.synthetic.columns import YEAR, Numbers, PartialDates, choose, code, day, days, text
from flows.sources.synthetic.recipe import Recipe, Units
from flows.sources.synthetic.uitkeringen_ao import (
    BENEFIT_SHARES,
    BENEFITS,
    CLASSES,
    PARTIAL_SHARES,
    WAITING_DAYS,
    classes,
)

_DECISIONS = ("T", "G", "H", "A", "B")  # the first three grant
_DECISION_SHARES = (0.55, 0.08, 0.05, 0.28, 0.04)
_GRANTING = 3
_YES, _NO = 0, 1
_SUBSCRIPTIONS = tuple(f"{number:08}" for number in range(40_000_000, 40_000_250))
_DATES = PartialDates.between(day(YEAR - 5, 1, 1), day(YEAR, 12, 31))


def _columns(units: Units) -> Mapping[str, pa.Array]:
    rng, size = units.rng, units.size
    noticed = rng.integers(day(YEAR, 1, 1), day(YEAR, 12, 31) + 1, size, np.int32)
    decided = noticed - rng.integers(1, 15, size, np.int32)
    applied = decided - rng.integers(28, 120, size, np.int32)
    ill = applied - rng.integers(WAITING_DAYS - 120, WAITING_DAYS, size, np.int32)
    decision = choose(rng, _DECISION_SHARES, size)
    benefit = choose(rng, BENEFIT_SHARES, size)
    refused = decision >= _GRANTING
    return {
        "meldingnummer": _numbered("M", units.numbers, 10),
        "abonnementsnummer": code(_SUBSCRIPTIONS, rng.integers(0, len(_SUBSCRIPTIONS), size, np.int32)),
        "bsn": units.people.bsn(units.numbers),
        "kenmerk_deelnemer": _numbered("D", (units.numbers * 7_919 + 1_000_003) % 1_000_000_007, 10),
        "code_soort_uitkering": code(BENEFITS, benefit),
        "datum_eerste_ao_dag": text(*_DATES.blurred(rng, ill, PARTIAL_SHARES)),
        "datum_aanvraag": text(*_DATES.blurred(rng, applied, PARTIAL_SHARES)),
        "code_beslissing": code(_DECISIONS, decision),
        "datum_dagtekening_beslissing": days(decided),
        "indicatie_recht_op_uitkering": code(("1", "2"), np.where(refused, _NO, _YES)),
        "datum_aanvang_recht": days(ill + WAITING_DAYS, refused),
        "code_ao_klasse": code(CLASSES, classes(rng, benefit), refused),
        "datum_melding": days(noticed),
    }


def _numbered(letter: str, numbers: Numbers, digits: int) -> pa.Array:
    """A letter and so many digits."""
    made = letter + pl.Series(numbers).cast(pl.String).str.zfill(digits)
    return made.to_arrow(compat_level=pl.CompatLevel.oldest())


MELDING_AOG = Recipe(columns=_columns, rows_per_unit=1, units_per_person=12, period_column="datum_melding")
