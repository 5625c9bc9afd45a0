"""A dataset of Parquet files as a source: a folder (or what looks like one) with files in it, and in its subfolders.

Rows come in the order of the files' names. Files that appear, go or change while they are read are an error: one state
or none. Where the files are is a `Place`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from core.canonical import digest
from core.errors import SourceUnavailable
from flows.sources.base import (
    Kind,
    Told,
    guarded,
    of_equal_size,
    refuse_unreadable,
    require_columns,
    require_one_type,
    require_one_zone,
    tell_nobody,
)
from flows.sources.guess import guessed_types
from flows.sources.parquet import polars_types, scanned
from flows.sources.partitions import Partition, chosen, holds_rows, partitions, without_keys
from flows.sources.plan import ExtractionPlan, Unreadable
from flows.sources.values import all_possible

_ASKED_AT_ONCE = 8  # files for their types: in a bucket each answer takes a while
T = TypeVar("T")


class Place(Protocol):
    """Where the files of a dataset are. Names are below it, with `/` between folders."""

    def files(self) -> dict[str, str]:
        """The name of every file, and what changes when the file does."""
        ...

    def schema(self, name: str) -> pa.Schema:
        """The schema of one file."""
        ...

    def scan(self, names: Sequence[str]) -> pl.LazyFrame:
        """These files, in this order. A file may have more columns than the first, and none that is absent."""
        ...


@dataclass(frozen=True)
class LocalPlace:
    """A folder on this machine."""

    folder: Path

    def files(self) -> dict[str, str]:
        """All Parquet below the folder. A link to a folder is an error: it is not followed."""
        self.folder.stat()
        below = {path.relative_to(self.folder).as_posix(): path for path in self.folder.rglob("*")}
        if any(path.is_symlink() and path.is_dir() for path in below.values()):
            raise pa.ArrowInvalid("a link to a folder")
        found = [name for name, path in below.items() if holds_rows(name) and not path.is_dir()]
        stats = [(name, below[name].stat()) for name in found]
        return {name: f"{stat.st_ino} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats}

    def schema(self, name: str) -> pa.Schema:
        return pq.read_schema(self.folder / name)

    def scan(self, names: Sequence[str]) -> pl.LazyFrame:
        return pl.scan_parquet(
            [self.folder / name for name in names],
            glob=False,
            hive_partitioning=False,
            extra_columns="ignore",
            missing_columns="raise",
        )


@dataclass(frozen=True)
class DatasetSource:
    """The files at `place` as one table; columns may be in the names of folders (`flows.sources.partitions`)."""

    id: str
    place: Place = field(repr=False)

    @property
    def kind(self) -> Kind:
        return "parquet"

    def schema(self) -> dict[str, pl.DataType]:
        """The columns of the first file, then the keys of the folders, which are text until a contract says more."""
        found = self._partitions(self._state())
        return self._guarded(lambda: self._types(found[0]))

    def untyped(self) -> frozenset[str]:
        """The keys of the folders."""
        return frozenset(self._partitions(self._state())[0].values)

    def draft_schema(self) -> dict[str, pl.DataType]:
        """The schema, with a guess at the types of the folders' keys."""
        found = self._partitions(self._state())
        keys = {key: [each.values[key] for each in found] for key in found[0].values}
        return self.schema() | guessed_types(pl.DataFrame(keys, schema=dict.fromkeys(keys, pl.String())))

    def row_count(self) -> int | None:
        """None: every file would have to be opened."""
        return None

    def batches(
        self, plan: ExtractionPlan, unreadable: Unreadable = refuse_unreadable, told: Told = tell_nobody
    ) -> Iterator[pl.DataFrame]:
        """As `flows.sources.base.Source` says."""
        before = self._state()
        found = self._partitions(before)
        stored = self._guarded(lambda: self._types(found[0]))
        require_columns(self.id, plan, stored)
        require_one_type(self.id, plan, found[0].values)
        told(f"parquet {digest(sorted(before.items()))}")
        whole = of_equal_size(self._frames(found, plan, stored, unreadable))
        while (frame := self._guarded(lambda: next(whole, None))) is not None:
            yield frame
        if self._state() != before:
            raise SourceUnavailable(f"source {self.id} changed while it was read: resume when it is complete")

    def _frames(
        self,
        found: Sequence[Partition],
        plan: ExtractionPlan,
        stored: dict[str, pl.DataType],
        unreadable: Unreadable,
    ) -> Iterator[pl.DataFrame]:
        rows = without_keys(plan.source_filter, found[0].values)
        keep = rows.expression(plan.period, stored)
        for partition, constants in chosen(found, plan, unreadable):
            require_one_zone(self.id, plan, stored, self._types_of(partition.files))
            for frame in scanned(self.place.scan(partition.files), plan.columns, keep, constants):
                yield all_possible(frame, unreadable)

    def _types(self, first: Partition) -> dict[str, pl.DataType]:
        types = polars_types(self.place.schema(first.files[0]))
        if set(types) & set(first.values):
            raise pa.ArrowInvalid("a column is in the files and in the names of their folders")
        return types | dict.fromkeys(first.values, pl.String())

    def _types_of(self, names: Sequence[str]) -> Iterator[dict[str, pl.DataType]]:
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            yield from pool.map(lambda name: polars_types(self.place.schema(name)), names)

    def _partitions(self, state: dict[str, str]) -> list[Partition]:
        if not state:
            raise SourceUnavailable(f"source {self.id} has no Parquet files")
        return self._guarded(lambda: partitions(sorted(state, key=lambda name: name.split("/"))))

    def _state(self) -> dict[str, str]:
        return self._guarded(self.place.files)

    def _guarded(self, read: Callable[[], T]) -> T:
        return guarded(self.id, "no dataset of Parquet", read)
