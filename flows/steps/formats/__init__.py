"""How rows become bytes. What each format looks like stands in docs/formats.md; the same rows give the same bytes.

One writer a file: encoded rows stream into an open target, and nothing but the rows, the agreement and the period
decides what is written. No clock, name of a machine or number of an edition is in it.
"""

from __future__ import annotations

import polars as pl

from core.period import Period
from flows.steps.formats.csv import CsvFormat
from flows.steps.formats.fixed import FixedFormat
from flows.steps.formats.parquet import ParquetFormat
from flows.steps.formats.writer import Encoded, RowFormat, RowWriter
from schemas.agreement import Agreement, FileFormat

CONTENT_TYPES: dict[FileFormat, str] = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "csv.gz": "text/csv+gzip",
    "csv.zst": "text/csv+zstd",
    "fixed": "text/plain",
}

__all__ = ["CONTENT_TYPES", "Encoded", "RowFormat", "RowWriter", "row_format"]


def row_format(agreement: Agreement, period: Period, empty: pl.DataFrame) -> RowFormat:
    """The agreed format; `empty` is a frame without rows that has the agreed columns and types."""
    if agreement.file_format == "parquet":
        required = frozenset(column.name for column in agreement.contract.table.columns if column.required)
        return ParquetFormat(empty, required)
    if agreement.file_format == "fixed":
        return FixedFormat(agreement, period)
    return CsvFormat(agreement, empty)
