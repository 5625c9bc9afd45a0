"""The 11-proef of a burgerservicenummer, vectorised: nine digits, weights 9 8 7 6 5 4 3 2 -1, sum divisible by 11.

The text must be nine digits as it stands; nothing is padded or stripped. The sum 0 (000000000) is refused.
Nine digits are looked up as five and four in tables of remainders, which is about ten times faster than nine divisions.
"""

from __future__ import annotations

import numpy as np
import polars as pl

_WEIGHTS = (9, 8, 7, 6, 5, 4, 3, 2, -1)
_LOW_DIGITS = 4
NOBODY = "000000000"  # passes the 11-proef and is issued to nobody


def _remainders(weights: tuple[int, ...]) -> pl.Series:
    """For each number of `len(weights)` digits: its weighted sum modulo 11."""
    sums = np.zeros(1, dtype=np.int64)
    for weight in weights:
        sums = np.add.outer(sums, np.arange(10) * weight).ravel()
    return pl.Series((sums % 11).astype(np.uint8))


_HIGH = _remainders(_WEIGHTS[:-_LOW_DIGITS])
_LOW = _remainders(_WEIGHTS[-_LOW_DIGITS:])


def is_bsn(text: pl.Expr) -> pl.Expr:
    """A Boolean expression over a text expression: false for what is no BSN, true for null."""
    nine = (text.str.len_bytes() == len(_WEIGHTS)) & ~text.str.starts_with("+")  # a cast to unsigned accepts a plus
    number = pl.when(nine).then(text.cast(pl.UInt32, strict=False))
    return (passes_eleven_test(number) & (text != NOBODY)).fill_null(value=False) | text.is_null()


def passes_eleven_test(number: pl.Expr) -> pl.Expr:
    """The 11-proef over a UInt32 expression below 10^9; null stays null, and 0 passes."""
    return halves_pass_eleven_test(*_halves(number))


def halves_pass_eleven_test(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    """The same over the first five and the last four digits."""
    return _weighted_sum(high, low).is_in([0, 11])


def complete(prefixes: pl.Series) -> pl.Series:
    """The valid nine-digit numbers that begin with the given eight digits (UInt32); one prefix in eleven has none."""
    tenfold = pl.col("prefix") * 10
    last = _weighted_sum(*_halves(tenfold)) % 11  # the last digit has weight -1, so it must equal the sum of the others
    return (
        prefixes.to_frame("prefix")
        .lazy()
        .filter(last < 10)
        .select(tenfold + last.cast(pl.UInt32))
        .collect()
        .to_series()
    )


def _halves(number: pl.Expr) -> tuple[pl.Expr, pl.Expr]:
    return number // 10**_LOW_DIGITS, number % 10**_LOW_DIGITS


def _weighted_sum(high: pl.Expr, low: pl.Expr) -> pl.Expr:
    return pl.lit(_HIGH).gather(high) + pl.lit(_LOW).gather(low)
