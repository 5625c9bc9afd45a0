"""Columns of a chunk as Arrow arrays in the form that is cheapest to write.

A chunk has `MONTHS` rows for each of its units (an income relation, a benefit). They come in blocks of `BLOCK` units,
each month by month: all its units in January, then all in February. What a unit has all year is therefore the same
stretch twelve times, close together, which compresses in no time; and text is a dictionary with one entry per unit or
code, so that no text is made, hashed or compared per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Days = NDArray[np.int32]  # days since 1970, as Arrow and Polars store a date

YEAR = 2026
MONTHS = 12
BLOCK = 504  # as many indexes as one bit-packed run of a Parquet page holds: the stretches are equal to the byte
_MONTHS = np.arange(f"{YEAR}-01", f"{YEAR + 1}-02", dtype="M8[M]").astype("M8[D]").astype(np.int32)  # one more
FIRST_DAYS: Days = _MONTHS[:-1]
LAST_DAYS: Days = _MONTHS[1:] - np.int32(1)


def day(year: int, month: int, of_month: int) -> int:
    """A date as days since 1970."""
    return (date(year, month, of_month) - date(1970, 1, 1)).days


def monthly(values: NDArray[Any]) -> NDArray[Any]:
    """One value per unit, for all its months; the units come in whole blocks."""
    return np.repeat(values.reshape(-1, 1, BLOCK), MONTHS, axis=1).ravel()


def month_numbers(size: int) -> NDArray[np.int32]:
    """Which month each row of `size` units is about, from 0."""
    return np.tile(np.repeat(np.arange(MONTHS, dtype=np.int32), BLOCK), size // BLOCK)


def text(values: pa.Array, index: NDArray[Any], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """`values[index]` as a dictionary column; null where `absent`.

    No value is in the dictionary twice: Arrow's Parquet writer would then fill its page with whatever memory held.
    """
    once = values.dictionary_encode()
    places = once.indices.to_numpy()[index].astype(np.int32, copy=False)
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=absent), once.dictionary, safe=False)


def code(codes: Sequence[str], index: NDArray[Any], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Codes of a code list, of which `index` says which."""
    return text(pa.array(codes, pa.string()), index, absent)


def days(values: NDArray[Any], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    """Days since 1970 as dates; null where `absent`."""
    return pa.array(values.astype(np.int32, copy=False), mask=absent).view(pa.date32())


def choose(rng: np.random.Generator, shares: Sequence[float], size: int) -> NDArray[np.int32]:
    """Indexes that occur with these shares."""
    return np.searchsorted(np.cumsum(shares)[:-1], rng.random(size), side="right").astype(np.int32)


@dataclass(frozen=True)
class PartialDates:
    """Dates as text yyyymmdd, of which the day (202603 00), the month too, or everything (00000000) is unknown."""

    first: int
    values: pa.Array
    months: Numbers  # of each day: where its month, with the day unknown, stands in `values`
    years: Numbers

    @classmethod
    def between(cls, first: int, last: int) -> PartialDates:
        """Dates from `first` to `last`, days since 1970."""
        all_days = np.arange(first, last + 1, dtype="i8").astype("M8[D]")
        months, month_of = np.unique(all_days.astype("M8[M]"), return_inverse=True)
        years, year_of = np.unique(all_days.astype("M8[Y]"), return_inverse=True)
        known = [str(each).replace("-", "") for each in all_days]
        no_day = [str(each).replace("-", "") + "00" for each in months]
        no_month = [f"{each}0000" for each in years]
        values = pa.array([*known, *no_day, *no_month, "00000000"])
        return cls(first, values, len(known) + month_of, len(known) + len(no_day) + year_of)

    def blurred(
        self, rng: np.random.Generator, values: NDArray[Any], shares: Sequence[float]
    ) -> tuple[pa.Array, NDArray[np.int64]]:
        """Texts and, for each date of `values`, which text it has: nothing of it is unknown, the day, the month too,
        or everything, with these shares. Only texts that occur are there, so that a small file stays small.
        """
        at = np.asarray(values) - self.first
        ways = (at, self.months[at], self.years[at], np.full(len(at), len(self.values) - 1))
        used, index = np.unique(np.choose(choose(rng, shares, len(at)), ways), return_inverse=True)
        return self.values.take(pa.array(used)), index
