"""A number of 64 bits for each row, by which two states of a table are compared without keeping their values.

The numbers are the same in every version, process and machine, and however a column is stored: integers of any width,
timestamps of any unit and decimals of any scale with the same value count as the same. Libraries' own hashes promise
none of that. A row is folded word by word (8 bytes), and each fold is a bijection (the finaliser of SplitMix64). So
rows that differ in one word, such as one number, date or code, never have the same fingerprint; rows that differ in
more do with a chance of 1 in 2^64. It is no cipher: what holds fingerprints must be sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from core.errors import UnusableInput

Words = npt.NDArray[np.uint64]
Whole = npt.NDArray[np.int64]
Rows = Whole | slice

_GAMMA, _FIRST, _SECOND = (np.uint64(each) for each in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_NULL_BITS = 64  # columns of which one word tells where they are null
_WORD = 8  # bytes
_LONGEST = 64  # words of a text that are folded one by one; a longer text is digested first
_MASKS = np.array([(1 << (8 * size)) - 1 for size in range(_WORD)] + [2**64 - 1], dtype=np.uint64)
_A_SECOND = {"ms": 10**3, "us": 10**6, "ns": 10**9}


def fingerprints(columns: Sequence[pl.Series], seed: int = 0) -> Words:
    """One number for each row over all `columns`, in their order; `UnusableInput` for a type that no contract has."""
    rows = len(columns[0])
    return _fold_columns(np.full(rows, seed, dtype=np.uint64), columns)


def _fold(hashes: Words, words: Words) -> Words:
    """One word more for each row."""
    mixed = hashes ^ words
    mixed += _GAMMA
    mixed ^= mixed >> np.uint64(30)
    mixed *= _FIRST
    mixed ^= mixed >> np.uint64(27)
    mixed *= _SECOND
    mixed ^= mixed >> np.uint64(31)
    return mixed


def _fold_columns(hashes: Words, columns: Sequence[pl.Series]) -> Words:
    for start in range(0, len(columns), _NULL_BITS):
        nulls = np.zeros(len(hashes), dtype=np.uint64)
        for at, column in enumerate(columns[start : start + _NULL_BITS]):
            if column.null_count():
                nulls |= column.is_null().to_numpy().astype(np.uint64) << np.uint64(at)
        hashes = _fold(hashes, nulls)
    for column in columns:
        hashes = _fold_values(hashes, column)
    return hashes


def _fold_values(hashes: Words, column: pl.Series) -> Words:
    """The values of one column; what is null counts as zero, or as empty: that it is null was told before."""
    dtype = column.dtype
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum):
        return _fold_texts(hashes, column.cast(pl.String))
    if isinstance(dtype, pl.Decimal):
        return _fold_texts(hashes, _shortest(column, dtype))
    if isinstance(dtype, pl.Struct):
        return _fold_columns(hashes, column.struct.unnest().get_columns())
    if isinstance(dtype, pl.List | pl.Array):
        return _fold_lists(hashes, column if isinstance(dtype, pl.List) else column.arr.to_list())
    for words in _words(column, dtype):
        hashes = _fold(hashes, words)
    return hashes


def _words(column: pl.Series, dtype: pl.DataType) -> list[Words]:
    if dtype.is_integer():
        whole = column.reinterpret(signed=True) if dtype == pl.UInt64 else column.cast(pl.Int64)
        return [_as_words(whole)]
    if dtype.is_float():
        exact = column.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0  # -0.0 is 0.0
        return [np.where(np.isnan(exact), np.nan, exact).view(np.uint64)]
    if dtype == pl.Boolean:
        return [_as_words(column.cast(pl.UInt8).cast(pl.Int64))]
    if isinstance(dtype, pl.Date | pl.Time):
        return [_as_words(column.to_physical().cast(pl.Int64))]
    if isinstance(dtype, pl.Datetime):
        a_second = _A_SECOND[dtype.time_unit]
        seconds, rest = np.divmod(column.to_physical().fill_null(0).to_numpy(), a_second)
        return [seconds.view(np.uint64), (rest * (10**9 // a_second)).view(np.uint64)]
    raise UnusableInput(f"column {column.name} has the type {dtype}, of which two states cannot be compared")


def _as_words(whole: pl.Series) -> Words:
    return whole.fill_null(0).to_numpy().view(np.uint64)


def _shortest(column: pl.Series, dtype: pl.Decimal) -> pl.Series:
    """A decimal as text without the zeros that only its scale adds."""
    text = column.cast(pl.String)
    return text.str.strip_chars_end("0").str.strip_chars_end(".") if dtype.scale else text


def _fold_texts(hashes: Words, column: pl.Series) -> Words:
    """The length in bytes, then the UTF-8 bytes eight by eight, the last word filled up with zeros."""
    array = column.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    _, places, data = array.buffers()
    edges = np.frombuffer(places, np.int64)[array.offset : array.offset + len(array) + 1]
    starts, sizes = edges[:-1], np.diff(edges)
    content = b"" if data is None else memoryview(data)
    padded = np.zeros(len(content) + _WORD, dtype=np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    words = np.ndarray((len(content) + 1,), dtype="<u8", buffer=padded, strides=(1,))  # from every byte on

    def word(rows: Rows, at: int) -> Words:
        found = words[starts[rows] + _WORD * at].astype(np.uint64)
        found &= _MASKS[np.minimum(sizes[rows] - _WORD * at, _WORD)]
        return found

    def digested(row: int) -> int:
        whole = padded[edges[row] : edges[row + 1]].tobytes()
        return int.from_bytes(hashlib.blake2b(whole, digest_size=_WORD).digest(), "little")

    hashes = _fold(hashes, sizes.view(np.uint64))
    return _fold_runs(hashes, -(-sizes // _WORD), word, digested)


def _fold_lists(hashes: Words, column: pl.Series) -> Words:
    """The number of items, then the fingerprint of each."""
    sizes = column.list.len().fill_null(0).cast(pl.Int64).to_numpy()
    starts = np.cumsum(sizes) - sizes
    items = column.filter(column.list.len() > 0).explode()
    each = fingerprints([items]) if len(items) else np.zeros(1, dtype=np.uint64)

    def digested(row: int) -> int:
        whole = each[starts[row] : starts[row] + sizes[row]].astype("<u8").tobytes()
        return int.from_bytes(hashlib.blake2b(whole, digest_size=_WORD).digest(), "little")

    hashes = _fold(hashes, sizes.view(np.uint64))
    return _fold_runs(hashes, sizes, lambda rows, at: each[starts[rows] + at], digested)


def _fold_runs(
    hashes: Words, counts: Whole, word: Callable[[Rows, int], Words], digested: Callable[[int], int]
) -> Words:
    """As many words for each row as `counts` says; of a row with too many one word over all of it."""
    long = counts > _LONGEST
    rows = np.flatnonzero((counts > 0) & ~long)
    at = 0
    while len(rows):
        these: Rows = rows if len(rows) < len(hashes) else slice(None)  # a slice copies less
        hashes[these] = _fold(hashes[these], word(these, at))
        at += 1
        rows = rows[counts[rows] > at]
    for row in np.flatnonzero(long).tolist():
        hashes[row : row + 1] = _fold(hashes[row : row + 1], np.array([digested(row)], dtype=np.uint64))
    return hashes
