"""What is read from a source: exactly these columns and rows, decided by the agreement and the period alone."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field

import polars as pl

from core.period import Period
from schemas.compiler import CompiledTable
from schemas.filters import Filter
from schemas.logical_types import default_timezone, text_format

Unreadable = Callable[[str, int], None]  # told which column has how many values that are not of its type


@dataclass(frozen=True)
class PlannedColumn:
    """`dtype` is what the column becomes when the source holds text (CSV); other sources keep their own type.

    `text_format` is the chrono form of dates and times in such text; None means ISO 8601. `zone` is where moments
    without an offset are, those of a filter too.
    """

    source_name: str
    name: str
    dtype: pl.DataType
    text_format: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class ExtractionPlan:
    columns: tuple[PlannedColumn, ...]
    filter: Filter = field(default_factory=Filter)
    period: Period | None = None

    @property
    def source_filter(self) -> Filter:
        """The filter over the source's own names: a delivered name stands for the column it is delivered from."""
        zones = {column.source_name: column.zone for column in self.columns}
        zones |= {column.name: column.zone for column in self.columns}
        return self.filter.in_zones(zones).renamed({column.name: column.source_name for column in self.columns})


def planned_columns(compiled: CompiledTable, delivered: Container[str] = ()) -> tuple[PlannedColumn, ...]:
    """Every column of the contract. One in `delivered` is read by its delivered name, as from a finished file."""
    return tuple(
        PlannedColumn(
            source_name=column.name if column.name in delivered else column.source_name,
            name=column.name,
            dtype=compiled.dtypes[column.name],
            text_format=text_format(column),
            zone=default_timezone(column),
        )
        for column in compiled.table.columns
    )
