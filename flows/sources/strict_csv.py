r"""Cut CSV text into pieces of whole rows, and hold its bytes to RFC 4180, because the parser itself forgives too much.

Arrow takes a quote that is never closed for a value that holds all the rest of the file, drops quotes that stand
inside a value, and keeps NUL bytes; each would deliver something else than what the source holds. Its own way of
reading ahead is not used either: a thread of it that still reads while the program ends aborts the program.

>>> import io
>>> list(whole_rows(io.BytesIO(b'n,s\n1,"a ""b""\nc"\n2,d'), piece=16))
[b'n,s\n', b'1,"a ""b""\nc"\n', b'2,d']
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PIECE_BYTES = 16 * 1024 * 1024  # parsed at once; bounds memory; a row of more than two pieces is refused
MOST_COLUMNS = 10_000  # Arrow builds every one of them for each piece
_QUOTE, _COMMA, _LF, _CR = b'",\n\r'
_AROUND_QUOTES = np.zeros(256, dtype=bool)  # what stands before an opening and after a closing quote
_AROUND_QUOTES[[_QUOTE, _COMMA, _LF, _CR]] = True
_BOM = b"\xef\xbb\xbf"
Places = npt.NDArray[np.intp]


def whole_rows(source: BinaryIO, piece: int = PIECE_BYTES) -> Iterator[bytes]:
    """First the header line, then pieces of whole rows; a byte order mark is left out.

    Raises `pa.ArrowInvalid` for a quote that is not closed or stands inside a value, for a NUL byte, for a row that
    does not fit into a piece (or two) and for more than `MOST_COLUMNS` columns. Encoding and equal numbers of fields
    are the parser's to check.
    """
    rest, in_header = b"", True  # the rest always begins where a row begins
    while data := source.read(piece):
        rows = rest + data if rest or not in_header else data.removeprefix(_BOM)
        quotes = _checked_quotes(rows)
        end = _last_end(rows, quotes)
        _require(end > 0 or len(rows) <= piece)
        start = 0
        if in_header and end:
            start, in_header = _header_end(rows, quotes), False
            yield rows[:start]
        if end > start:
            yield rows[start:end]
        rest = rows[end:]
    quotes = _checked_quotes(rest)
    _require(len(quotes) % 2 == 0)
    if in_header:
        _header_end(rest, quotes)
    if rest:
        yield rest


def _checked_quotes(rows: bytes) -> Places:
    """Where the quotes are. They open and close in turn; an escaped quote closes and opens again."""
    _require(b"\0" not in rows)
    if b'"' not in rows:
        return np.empty(0, dtype=np.intp)
    codes = np.frombuffer(rows, dtype=np.uint8)
    quotes = np.flatnonzero(codes == _QUOTE)
    opening, closing = quotes[::2], quotes[1::2]
    before = codes[opening[opening > 0] - 1]
    after = codes[closing[closing + 1 < len(codes)] + 1]
    _require(bool(_AROUND_QUOTES[before].all() and _AROUND_QUOTES[after].all()))
    return quotes


def _last_end(rows: bytes, quotes: Places) -> int:
    """Where the last whole row ends; 0 if there is none. A CR at the very end may be half of the end of a row."""
    known = rows.removesuffix(b"\r")
    at = max(known.rfind(b"\n"), known.rfind(b"\r"))
    if at >= 0 and np.searchsorted(quotes, at) % 2:  # inside a value
        ends = _outside(known, quotes, _LF, _CR)
        at = int(ends[-1]) if len(ends) else -1
    return at + 1


def _header_end(rows: bytes, quotes: Places) -> int:
    """Where the header line ends, at the end of `rows` if not before. CR and LF are not parted."""
    ends = _outside(rows, quotes, _LF, _CR)
    end = int(ends[0]) + 1 if len(ends) else len(rows)
    end += rows[end - 1 : end + 1] == b"\r\n"
    _require(int(np.count_nonzero(_outside(rows, quotes, _COMMA) < end)) < MOST_COLUMNS)
    return end


def _outside(rows: bytes, quotes: Places, *wanted: int) -> Places:
    """Where the wanted bytes are, other than inside a value in quotes."""
    places = np.flatnonzero(np.isin(np.frombuffer(rows, dtype=np.uint8), wanted))
    found: Places = places[np.searchsorted(quotes, places) % 2 == 0]
    return found


def _require(condition: bool) -> None:
    if not condition:
        raise pa.ArrowInvalid("no CSV as in RFC 4180")
