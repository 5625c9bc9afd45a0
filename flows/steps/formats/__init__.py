"""How rows become bytes. What each format looks like stands in docs/formats.md; the same rows give the same bytes.

One writer a file: rows stream into an open target, and nothing but the rows, the agreement and the period decides what
is written. No clock, name of a machine or number of an edition is in it.
"""

from __future__ import annotations

import polars as pl

from core.period import Period
from flows.steps.formats.csv import CsvRows
from flows.steps.formats.fixed import FixedRows
from flows.steps.formats.parquet import ParquetRows
from flows.steps.formats.writer import RowWriter
from flows.steps.staging import DigestingWriter
from schemas.agreement import Agreement, FileFormat

CONTENT_TYPES: dict[FileFormat, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "csv.gz": "text/csv+gzip",
    "csv.zst": "text/csv+zstd",
    "fixed": "text/plain",
}

__all__ = ["CONTENT_TYPES", "RowWriter", "row_writer"]


def row_writer(agreement: Agreement, period: Period, target: DigestingWriter, empty: pl.DataFrame) -> RowWriter:
    """The writer of the agreed format; `empty` is a frame without rows that has the agreed columns and types."""
    if agreement.file_format == "parquet":
        return ParquetRows(target, empty)
    if agreement.file_format == "fixed":
        return FixedRows(agreement, period, target)
    return CsvRows(agreement, target, empty)
