"""CSV (RFC 4180, UTF-8), as it is or compressed with gzip or zstd."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import TracebackType
from typing import Any, Protocol, Self

import polars as pl
import zstandard

from flows.steps.formats.moments import moments, require_exact
from flows.steps.formats.writer import Encoded
from flows.steps.staging import DigestingWriter, as_file
from schemas.agreement import Agreement

_ZSTD_LEVEL = 1  # level 3 costs a third more time for 5 % fewer bytes on our product
_GZIP_LEVEL = 1  # level 6 costs three times as much for 15 % fewer bytes on our product
_MOST_DAYS = 40_000  # from the first to the last: more than a century, and little against the rows of a batch
_EPOCH = date(1970, 1, 1)
_GZIP = zlib.MAX_WBITS | 16  # with the header of RFC 1952: no name, and no time (mtime 0)


class Compression(Protocol):
    """Takes text; `finish` writes what is held back, and the end of the compressed stream."""

    def write(self, data: Any) -> int: ...
    def finish(self) -> None: ...


class _Plain:
    """No compression."""

    def __init__(self, target: DigestingWriter) -> None:
        self.write = target.write

    def finish(self) -> None:
        """Nothing is held back."""


class _Zstd:
    def __init__(self, target: DigestingWriter) -> None:
        self._stream = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).stream_writer(as_file(target), closefd=False)
        self.write = self._stream.write

    def finish(self) -> None:
        self._stream.flush(zstandard.FLUSH_FRAME)


class _Gzip:
    def __init__(self, target: DigestingWriter) -> None:
        self._target = target
        self._stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)

    def write(self, data: Any) -> int:
        if compressed := self._stream.compress(data):
            self._target.write(compressed)
        return len(data)

    def finish(self) -> None:
        self._target.write(self._stream.flush())


COMPRESSIONS: Mapping[str, Callable[[DigestingWriter], Compression]] = {
    "csv": _Plain,
    "csv.gz": _Gzip,
    "csv.zst": _Zstd,
}


@dataclass(frozen=True)
class CsvFormat:
    """A header line, then one line per row; nulls are empty, text is quoted where it must be.

    Dates and times are written in the column's `format`, so that the contract reads what it wrote.
    """

    agreement: Agreement
    empty: pl.DataFrame

    def encode(self, frame: pl.DataFrame) -> Encoded:
        found = moments(self.agreement.contract.table, frame.schema)
        require_exact(self.agreement.id, frame, found)
        written = frame.with_columns(each.text.alias(each.name) for each in found)
        columns = [_as_text(written[name]) for name in self.empty.columns]  # as the header has them
        return _lines(pl.DataFrame(columns), header=False)

    def open(self, target: DigestingWriter) -> CsvRows:
        return CsvRows(COMPRESSIONS[self.agreement.file_format](target), _lines(self.empty, header=True))


class CsvRows:
    """The lines of one file, through its compression."""

    def __init__(self, stream: Compression, header: Encoded) -> None:
        self._stream = stream
        self.write(header)

    def write(self, encoded: Encoded) -> None:
        self._stream.write(encoded.content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._stream.finish()


def _as_text(column: pl.Series) -> pl.Series:
    """Dates as Polars would write them, but each day is made into text once: that takes most of the time otherwise."""
    if column.dtype != pl.Date:
        return column
    first, last = column.min(), column.max()
    if not (isinstance(first, date) and isinstance(last, date)) or (last - first).days > _MOST_DAYS:
        return column
    days = pl.date_range(first, last, eager=True).dt.to_string("%Y-%m-%d")
    return days.gather(column.to_physical() - (first - _EPOCH).days).alias(column.name)


def _lines(frame: pl.DataFrame, *, header: bool) -> Encoded:
    lines = io.BytesIO()
    frame.write_csv(lines, include_header=header, line_terminator="\r\n")
    return Encoded(frame.height, lines.getbuffer())
