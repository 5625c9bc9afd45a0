"""Citizen and employer numbers that can be nobody's: they pass the 11-proef but come from ranges for testing.

They start with 9999, the range that is reserved for testing, or, where more people are needed, only with 9, which is a
convention among testers. `Faker` and the like draw from the whole range, so they can hit a real person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from core.errors import UnusableInput
from flows.sources.synthetic.columns import Numbers
from schemas.bsn import complete

EMPLOYERS = 2_000
_SMALL, _LARGE = 99_990_000, 90_000_000  # first eight digits of the smallest number in each range
_END = 100_000_000


@dataclass(frozen=True)
class People:
    """Test numbers in an order that the seed decides; unit k belongs to person k modulo their number."""

    numbers: pl.Series
    employers: pa.Array

    @classmethod
    def enough_for(cls, units: int, per_person: int, seed: int) -> People:
        """People for so many units (an income relation, a benefit), each person at most `per_person`."""
        rng = np.random.default_rng(seed)
        small = _test_numbers(_SMALL, _END - _SMALL, rng)
        numbers = small if units <= small.len() * per_person else _test_numbers(_LARGE, units, rng)
        if units > numbers.len() * per_person:
            raise UnusableInput("there are not enough test citizen numbers for so many rows")
        return cls(numbers, (small.head(EMPLOYERS).cast(pl.String) + "L01").to_arrow(compat_level=_OLDEST))

    def bsn(self, units: Numbers) -> pa.Array:
        """The citizen number of each unit, as text."""
        return self.numbers.gather(units % self.numbers.len()).cast(pl.String).to_arrow(compat_level=_OLDEST)

    def ordinal(self, units: Numbers) -> Numbers:
        """The how-manieth unit of its person each is, from 1."""
        return 1 + units // self.numbers.len()


_OLDEST = pl.CompatLevel.oldest()  # plain text arrays: the Parquet writer knows no text views


def _test_numbers(first_prefix: int, wanted: int, rng: np.random.Generator) -> pl.Series:
    """About ten elevenths of `wanted` different valid numbers, if the range has so many, in no visible order.

    A step that shares no factor with the range's size (a power of ten) visits every prefix before any twice.
    """
    size = _END - first_prefix
    offset, step = rng.integers(0, size), 10 * rng.integers(size // 30, size // 10) + 7
    prefixes = first_prefix + (offset + step * np.arange(min(wanted, size))) % size
    return complete(pl.Series(prefixes, dtype=pl.UInt32))
