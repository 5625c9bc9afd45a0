"""CSV (RFC 4180, UTF-8), as it is or compressed with gzip or zstd."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import polars as pl
import zstandard

from flows.steps.formats.moments import moments, require_exact
from flows.steps.staging import DigestingWriter, as_file
from schemas.agreement import Agreement

_ZSTD_LEVEL = 1  # level 3 costs a third more time for 5 % fewer bytes on our product
_GZIP_LEVEL = 1  # level 6 costs three times as much for 15 % fewer bytes on our product
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


class CsvRows:
    """A header line, then one line per row; nulls are empty, text is quoted where it must be.

    Dates and times are written in the column's `format`, so that the contract reads what it wrote.
    """

    def __init__(self, agreement: Agreement, target: DigestingWriter, empty: pl.DataFrame) -> None:
        self._agreement, self._columns = agreement, empty.columns
        self._stream = COMPRESSIONS[agreement.file_format](target)
        self._put(empty, header=True)

    def write(self, frame: pl.DataFrame) -> None:
        found = moments(self._agreement.contract.table, frame.schema)
        require_exact(self._agreement.id, frame, found)
        written = frame.with_columns(each.text.alias(each.name) for each in found)
        self._put(written.select(self._columns), header=False)  # as the header has them

    def _put(self, frame: pl.DataFrame, *, header: bool) -> None:
        frame.write_csv(self._stream, include_header=header, line_terminator="\r\n")  # type: ignore[call-overload]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._stream.finish()
