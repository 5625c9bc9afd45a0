"""A CSV file whose bytes are held to RFC 4180 while they are read, because the parser itself forgives too much.

Arrow takes a quote that is never closed for a value that holds all the rest of the file, drops quotes that stand
inside a value, and keeps NUL bytes; each would deliver something else than what the source holds.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MOST_COLUMNS = 10_000  # Arrow builds every one of them for each block of text
_QUOTE, _COMMA, _LF, _CR = b'",\n\r'
_AROUND_QUOTES = np.zeros(256, dtype=bool)  # what stands before an opening and after a closing quote
_AROUND_QUOTES[[_QUOTE, _COMMA, _LF, _CR]] = True
_BOM = b"\xef\xbb\xbf"


class StrictCsv:
    """For `pyarrow.PythonFile`, from the beginning to the end, in pieces of any size.

    Raises `pa.ArrowInvalid` for a quote that is not closed or stands inside a value, for a NUL byte and for more than
    `MOST_COLUMNS` columns. Encoding and equal numbers of fields are the parser's to check.
    """

    closed = False

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._before = _LF  # the byte before the next one; at the start of the file a quote may open
        self._in_quotes = False
        self._commas: int | None = None  # of the header line so far; None before the first byte
        self._in_header = True

    def read(self, size: int = -1) -> bytes:
        """The next bytes; none at the end."""
        data = self._source.read(size)
        if not data:
            _require(not self._in_quotes)
            return data
        _require(b"\0" not in data)
        skipped = len(_BOM) if self._commas is None and data.startswith(_BOM) else 0
        self._commas = self._commas or 0
        codes = np.frombuffer(data, dtype=np.uint8)[skipped:]
        if len(codes):
            self._check(codes, np.flatnonzero(codes == _QUOTE) if b'"' in data else np.empty(0, dtype=np.intp))
        return data

    def close(self) -> None:
        """Close the file below."""
        self.closed = True
        self._source.close()

    def readable(self) -> bool:
        return True

    def _check(self, codes: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp]) -> None:
        """Quotes open and close in turn; an escaped quote closes and opens again, so quotes may also touch."""
        if self._in_header:
            self._count_columns(codes, quotes)
        before = np.concatenate(([self._before], codes))  # before[at] precedes codes[at]
        opening, closing = (quotes[1::2], quotes[::2]) if self._in_quotes else (quotes[::2], quotes[1::2])
        after = codes[closing[closing + 1 < len(codes)] + 1]
        _require(bool(_AROUND_QUOTES[before[opening]].all() and _AROUND_QUOTES[after].all()))
        if self._before == _QUOTE and not self._in_quotes:  # a quote that closed at the end of the piece before
            _require(bool(_AROUND_QUOTES[codes[0]]))
        self._in_quotes ^= bool(len(quotes) % 2)
        self._before = int(codes[-1])

    def _count_columns(self, codes: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp]) -> None:
        marks = np.zeros(len(codes), dtype=np.int8)
        marks[quotes] = 1
        outside = (np.cumsum(marks, dtype=np.int64) + self._in_quotes) % 2 == 0
        ends = np.flatnonzero(outside & ((codes == _LF) | (codes == _CR)))
        head = slice(0, int(ends[0]) if len(ends) else len(codes))
        self._commas = (self._commas or 0) + int(np.count_nonzero(outside[head] & (codes[head] == _COMMA)))
        self._in_header = not len(ends)
        _require(self._commas < MOST_COLUMNS)


def _require(condition: bool) -> None:
    if not condition:
        raise pa.ArrowInvalid("no CSV as in RFC 4180")
