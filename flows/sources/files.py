"""Read registered files: one Parquet file, a folder of Parquet files, or one CSV file; only the planned columns.

Batches have `BATCH_ROWS` rows, in the order of the files, so that a second extraction of the same data gives the same
bytes. Memory stays bounded by a few batches. A file that changes while it is read is an error: one snapshot or none.
A source's own errors may quote its data; they end here and become `SourceUnavailable` without details.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl

from core.errors import SourceUnavailable, UnusableInput
from flows.sources.base import (
    Kind,
    Told,
    file_snapshot,
    guarded,
    of_equal_size,
    refuse_unreadable,
    require_columns,
    require_one_type,
    require_one_zone,
    tell_nobody,
)
from flows.sources.dataset import LocalPlace
from flows.sources.guess import SAMPLE_ROWS, guessed_types
from flows.sources.parquet import fast_frames, row_count, stored_types, verified_frames
from flows.sources.plan import ExtractionPlan, PlannedColumn, Unreadable
from flows.sources.text import csv_batches, csv_columns
from flows.sources.values import all_possible

__all__ = ["ExtractionPlan", "FileSource", "PlannedColumn", "Unreadable"]

T = TypeVar("T")


@dataclass(frozen=True)
class FileSource:
    """A file or folder under the id by which it is registered; only the id appears in errors.

    `verify` is for Parquet that somebody else made: slower, and safe whatever is in it (see `flows.sources.parquet`).
    """

    id: str
    path: Path
    verify: bool = False

    @property
    def kind(self) -> Kind:
        """By what the path is: a folder (or a name like one) or .parquet, or .csv; anything else is `UnusableInput`."""
        if self.path.is_dir() or self.path.suffix.lower() in ("", ".parquet"):
            return "parquet"
        if self.path.suffix.lower() == ".csv":
            return "csv"
        raise UnusableInput(f"source {self.id} must be a .parquet file, a folder of them, or a .csv file")

    def schema(self) -> dict[str, pl.DataType]:
        """Column names and types; of a CSV file every column is text, until a contract says otherwise."""
        if self.kind == "parquet":
            return self._guarded(lambda: stored_types(self._files()))
        names = self._guarded(lambda: csv_columns(str(self.path)))
        if len(set(names)) != len(names):
            raise SourceUnavailable(f"source {self.id} names a column twice")
        return dict.fromkeys(names, pl.String())

    def untyped(self) -> frozenset[str]:
        """Every column of a CSV file, and none of Parquet."""
        return frozenset(self.schema()) if self.kind == "csv" else frozenset()

    def draft_schema(self) -> dict[str, pl.DataType]:
        """Like `schema`, with a guess at the types of a CSV file's columns: for drafts that a person edits."""
        if self.kind == "parquet":
            return self.schema()
        names = tuple(PlannedColumn(name, name, pl.String()) for name in self.schema())
        first = next(self.batches(ExtractionPlan(names)), pl.DataFrame(schema=self.schema()))
        return guessed_types(first.head(SAMPLE_ROWS))

    def row_count(self) -> int | None:
        """The number of rows as Parquet's metadata has it; None of a CSV file, which would have to be read for that."""
        if self.kind == "csv":
            return None
        return self._guarded(lambda: row_count(self._files()))

    def batches(
        self, plan: ExtractionPlan, unreadable: Unreadable = refuse_unreadable, told: Told = tell_nobody
    ) -> Iterator[pl.DataFrame]:
        """Frames with exactly the plan's columns and rows; `unreadable` is told about text that is not of its type.

        Raises `SourceColumnMissing` before any row is read, `UnusableInput` for a filter that does not fit the
        column types, `SourceUnavailable` for what cannot be read.
        """
        stored = self.schema()
        require_columns(self.id, plan, stored)
        require_one_type(self.id, plan, stored if self.kind == "csv" else ())
        nested = [column.name for column in plan.columns if column.dtype.is_nested()]
        if nested and self.kind == "csv":
            raise UnusableInput(f"source {self.id} is CSV, which cannot hold column {nested[0]}: an array or object")
        before = self._state()
        if self.kind == "parquet":
            files = self._guarded(self._files)
            self._guarded(lambda: require_one_zone(self.id, plan, stored, (stored_types([each]) for each in files)))
        told(self._guarded(lambda: file_snapshot(self.kind, self._files())))
        whole = of_equal_size(self._guarded(lambda: self._frames(plan, stored, unreadable)))
        while (frame := self._guarded(lambda: next(whole, None))) is not None:
            yield frame
        if self._state() != before:
            raise SourceUnavailable(f"source {self.id} changed while it was read: resume when it is complete")

    def _frames(
        self, plan: ExtractionPlan, stored: dict[str, pl.DataType], unreadable: Unreadable
    ) -> Iterator[pl.DataFrame]:
        if self.kind == "csv":
            return csv_batches(str(self.path), plan, unreadable)
        frames = (verified_frames if self.verify else fast_frames)(self._files(), plan, stored)
        return (all_possible(frame, unreadable) for frame in frames)

    def _files(self) -> list[Path]:
        if not self.path.is_dir():
            return [self.path]
        names = LocalPlace(self.path).files()
        if not names:
            raise SourceUnavailable(f"source {self.id} has no Parquet files in its folder")
        if any("/" in name for name in names):
            raise SourceUnavailable(f"source {self.id} has Parquet in a subfolder that is no key=value: take it away")
        return sorted(self.path / name for name in names)

    def _state(self) -> list[tuple[str, int, int, int]]:
        stats = self._guarded(lambda: [(each.name, each.stat()) for each in self._files()])
        return [(name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in stats]

    def _guarded(self, read: Callable[[], T]) -> T:
        form = (
            "UTF-8 text with commas, quotes in pairs and as many fields on every line"
            if self.kind == "csv"
            else "Parquet"
        )
        return guarded(self.id, f"not {form}", read)
