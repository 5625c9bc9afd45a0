"""Parquet, compressed with zstd. A column that the agreement requires is a required column of the file."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flows.steps.formats.writer import Encoded
from flows.steps.staging import DigestingWriter, as_file

_ZSTD_LEVEL = 1  # level 3 costs a third more time for 5 % fewer bytes on our product
_PACKED = (pl.Int32, pl.Int64, pl.UInt32, pl.UInt64, pl.Date)  # stored as whole numbers; smaller and faster than zstd
_REPEATS = 20  # times that a value occurs on average, for a dictionary to pay


@dataclass(frozen=True)
class ParquetFormat:
    """Encoded rows are the frame with its columns in the agreed order."""

    empty: pl.DataFrame
    required: frozenset[str]

    def encode(self, frame: pl.DataFrame) -> Encoded:
        return Encoded(frame.height, frame.select(self.empty.columns))  # whoever validates has enough to do

    def open(self, target: DigestingWriter) -> ParquetRows:
        return ParquetRows(target, self.encode(self.empty), self.required)


class ParquetRows:
    """One row group per batch, in the types of the source; without any batch a file with the agreed columns.

    Text gets no minimum and maximum: nobody prunes row groups by them, and they cost a quarter of the writing.
    """

    def __init__(self, target: DigestingWriter, empty: Encoded, required: frozenset[str]) -> None:
        self._target = target
        self._empty, self._required = empty, required
        self._writer: pq.ParquetWriter | None = None

    def write(self, encoded: Encoded) -> None:
        frame = encoded.content.rechunk()  # the same rows give the same bytes, in whatever pieces they were read
        table = self._agreed(frame.to_arrow())
        if self._writer is None:
            repeated = _worth_a_dictionary(frame)
            packed = {
                name: "DELTA_BINARY_PACKED"
                for name, dtype in frame.schema.items()
                if name not in repeated and dtype in _PACKED
            }
            self._writer = pq.ParquetWriter(
                pa.PythonFile(as_file(self._target), mode="w"),
                table.schema,
                compression="zstd",
                compression_level=_ZSTD_LEVEL,
                use_dictionary=repeated,
                column_encoding=packed,
                write_statistics=[name for name, dtype in frame.schema.items() if dtype != pl.String],
            )
        self._writer.write_table(table)

    def _agreed(self, table: pa.Table) -> pa.Table:
        """The same table, in which no null can stand where the agreement allows none."""
        fields = [field.with_nullable(field.name not in self._required) for field in table.schema]
        return pa.Table.from_arrays(table.columns, schema=pa.schema(fields))

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
