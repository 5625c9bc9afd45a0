"""A set of citizen numbers, exact, in 12.5 MB however many there are.

The last digit of a BSN follows from the eight before it (`schemas.bsn`), so one bit for each eight digits holds the
whole set: no hashes, so nobody gets in by accident, and a lookup costs the same for one person as for nine million.

>>> import polars as pl
>>> people = BsnSet()
>>> people.add(np.array([999990019], dtype=np.uint32)).tolist()
[False]
>>> people.holds(pl.Series(["999990019", "999993653", None, "99999001"])).to_list()
[True, False, False, False]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from schemas.bsn import NOBODY, complete, is_bsn, passes_eleven_test

Numbers = npt.NDArray[np.uint32]
Bools = npt.NDArray[np.bool_]

_PREFIXES = 10**8  # of eight digits
_LARGEST = 10**9
_AT_ONCE = 125_000  # bytes of the set that are unpacked together: at most a million numbers


class BsnSet:
    """Starts empty. Only numbers that pass the 11-proef may be added; `schemas.bsn` says which do."""

    def __init__(self) -> None:
        self._bits = np.zeros(_PREFIXES // 8, dtype=np.uint8)

    def add(self, numbers: Numbers) -> Bools:
        """Put numbers in; tells of each whether it was there already, also earlier in the same array."""
        prefixes, first = np.unique(numbers // np.uint32(10), return_index=True)
        repeated = np.ones(len(numbers), dtype=np.bool_)
        repeated[first] = self._has(prefixes)
        if len(prefixes):
            places, starts = np.unique(prefixes >> 3, return_index=True)
            bits = np.left_shift(np.uint8(1), (prefixes & 7).astype(np.uint8))
            self._bits[places] |= np.bitwise_or.reduceat(bits, starts)
        return repeated

    def mark(self, numbers: Numbers) -> None:
        """Put numbers in as `add` does, several times as fast, without telling which were there already."""
        prefixes = numbers // np.uint32(10)
        places, bits = prefixes >> 3, np.left_shift(np.uint8(1), (prefixes & 7).astype(np.uint8))
        while (missing := (self._bits[places] & bits) == 0).any():  # most were there in an earlier batch
            places, bits = places[missing], bits[missing]
            self._bits[places] |= bits  # of numbers that share a byte, one wins

    @property
    def count(self) -> int:
        return int(np.bitwise_count(self._bits).sum(dtype=np.int64))

    def numbers(self) -> Iterator[Numbers]:
        """All of them in ascending order, in arrays of bounded size; never an empty one."""
        for each in self.prefixes():
            yield complete(pl.Series(each)).to_numpy()

    def prefixes(self) -> Iterator[Numbers]:
        """The first eight digits of each, in the same way, at a tenth of the cost."""
        for start in range(0, len(self._bits), _AT_ONCE):
            piece = self._bits[start : start + _AT_ONCE]
            if piece.any():
                found = np.flatnonzero(np.unpackbits(piece, bitorder="little").view(np.bool_))
                yield (found + start * 8).astype(np.uint32)

    def holds(self, column: pl.Series) -> pl.Series:
        """For each value whether it is a BSN of the set, as a Boolean without nulls.

        Text must be nine digits as it stands; a whole number is read with leading zeros. TypeError for other columns.
        """
        frame = column.to_frame("it")
        if column.dtype == pl.String:
            genuine = is_bsn(pl.col("it")) & pl.col("it").is_not_null()
            number = pl.when(genuine).then(pl.col("it")).otherwise(pl.lit(NOBODY)).cast(pl.UInt32)
        elif column.dtype.is_integer():
            small = pl.when(pl.col("it") < _LARGEST).then(pl.col("it")).cast(pl.UInt32, strict=False).fill_null(0)
            number = pl.when(passes_eleven_test(small)).then(small).otherwise(pl.lit(0, dtype=pl.UInt32))
        else:
            raise TypeError(f"a column of type {column.dtype} holds no citizen numbers")
        numbers = frame.select(number.alias("it")).to_series().to_numpy()
        return pl.Series(column.name, self._has(numbers // np.uint32(10)))

    def union(self, other: Self) -> BsnSet:
        return _of(self._bits | other._bits)

    def without(self, other: Self) -> BsnSet:
        return _of(self._bits & ~other._bits)

    def issubset(self, other: Self) -> bool:
        return not (self._bits & ~other._bits).any()

    def _has(self, prefixes: Numbers) -> Bools:
        found: Bools = ((self._bits[prefixes >> 3] >> (prefixes & 7).astype(np.uint8)) & 1).astype(np.bool_)
        return found


def _of(bits: npt.NDArray[np.uint8]) -> BsnSet:
    made = BsnSet()
    made._bits = bits  # noqa: SLF001 - the class's own module
    return made
