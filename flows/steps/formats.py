"""How rows become bytes: Parquet with zstd, or CSV (RFC 4180, UTF-8) with zstd. Both stream into an open target."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from flows.steps.staging import DigestingWriter, as_file
from schemas.agreement import FileFormat

ZSTD_LEVEL = 1  # level 3 costs a third more time for 5 % fewer bytes on our product
_REPEATS = 20  # times that a value occurs on average, for a dictionary to pay
CONTENT_TYPES: dict[FileFormat, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv.zst": "text/csv+zstd",
}


class RowWriter(Protocol):
    """Writes frames to a target; leaving the context normally completes the file, an exception does not."""

    def write(self, frame: pl.DataFrame) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None: ...


class ParquetRows:
    """One row group per batch, in the types of the source; without any batch a file with the agreed columns.

    Text gets no minimum and maximum: nobody prunes row groups by them, and they cost a quarter of the writing.
    """

    def __init__(self, target: DigestingWriter, empty: pl.DataFrame) -> None:
        self._target = target
        self._empty = empty
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pl.DataFrame) -> None:
        frame = frame.rechunk()  # the same rows give the same bytes, in whatever pieces they were read
        table = frame.to_arrow()
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                pa.PythonFile(as_file(self._target), mode="w"),
                table.schema,
                compression="zstd",
                compression_level=ZSTD_LEVEL,
                use_dictionary=_worth_a_dictionary(frame),
                write_statistics=[name for name, dtype in frame.schema.items() if dtype != pl.String],
            )
        self._writer.write_table(table)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is not None:
            self._target.abandon()
        elif self._writer is None:
            self.write(self._empty)
        if self._writer is not None:
            self._writer.close()


def _worth_a_dictionary(frame: pl.DataFrame) -> list[str]:
    """Columns that repeat themselves. For the others Parquet would build a dictionary and give it up: half the time."""
    flat = [name for name, dtype in frame.schema.items() if not dtype.is_nested()]
    distinct = frame.select(pl.col(flat).approx_n_unique()).row(0, named=True) if flat else {}
    return [name for name, count in distinct.items() if count <= frame.height // _REPEATS]


class CsvRows:
    """A header line, then one line per row; nulls are empty, text is quoted where it must be."""

    def __init__(self, target: DigestingWriter, empty: pl.DataFrame) -> None:
        self._stream = zstandard.ZstdCompressor(level=ZSTD_LEVEL).stream_writer(as_file(target), closefd=False)
        empty.write_csv(self._stream, include_header=True, line_terminator="\r\n")

    def write(self, frame: pl.DataFrame) -> None:
        frame.write_csv(self._stream, include_header=False, line_terminator="\r\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self._stream.flush(zstandard.FLUSH_FRAME)


def row_writer(file_format: FileFormat, target: DigestingWriter, empty: pl.DataFrame) -> RowWriter:
    """The writer of an agreed format; `empty` is a frame without rows that has the agreed columns and types."""
    return ParquetRows(target, empty) if file_format == "parquet" else CsvRows(target, empty)
