"""What a registered source is to the pipeline: one table, its schema, and the planned rows of it in one snapshot.

An agreement names an id (and, of a database, a table that it offers); everything else about a source is the
operator's: see `flows.sources.registry`. Every kind passes one suite, `tests/contract/test_sources.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import polars as pl
import pyarrow as pa

from core.canonical import digest
from core.errors import RowsInvalid, SourceColumnMissing, SourceUnavailable, UnusableInput
from flows.sources.plan import ExtractionPlan, PlannedColumn, Unreadable

Kind = Literal["parquet", "csv", "postgresql", "duckdb", "sqlite"]
T = TypeVar("T")
Told = Callable[[str], None]  # told which state of the source is read

BATCH_ROWS = 500_000  # large enough that pandera costs nothing; 12 columns of this size are about 50 MB
_PLACES, _LOOKED_AT = 16, 64  # in a frame, and rows at each of them
BATCH_BYTES = 1024 * 1024 * 1024  # for texts that are far longer than any of ours


def refuse_unreadable(column: str, count: int) -> None:
    """The default for text that is not of its type: an error that names the column and how many values."""
    raise RowsInvalid(f"column {column} has {count} values that cannot be read as its type")


def tell_nobody(snapshot: str) -> None:
    """The default for who does not record what was read."""


class Source(Protocol):
    """One table of a registered source. Only its id, and names of tables and columns, appear in errors."""

    @property
    def id(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    def schema(self) -> dict[str, pl.DataType]:
        """Column names and types, in order; `Unknown` where the source's own type has no counterpart.

        Raises `SourceUnavailable` if the table is not there or cannot be read.
        """
        ...

    def untyped(self) -> frozenset[str]:
        """The columns of `schema` that hold text for which the contract has the type, as in CSV."""
        ...

    def draft_schema(self) -> dict[str, pl.DataType]:
        """Like `schema`, with a guess at the types of untyped columns: for drafts that a person edits."""
        ...

    def row_count(self) -> int | None:
        """The number of rows, where the source knows it without reading them."""
        ...

    def batches(
        self, plan: ExtractionPlan, unreadable: Unreadable = refuse_unreadable, told: Told = tell_nobody
    ) -> Iterator[pl.DataFrame]:
        """Frames with exactly the plan's columns and rows, of one state of the source, in an order that is stable.

        `told` hears before the first frame (or the end, if there is none) which state that is: equal texts are equal
        data. `unreadable` hears of values that the column's type cannot hold; they are null in the frame.

        Raises `SourceColumnMissing` before any row is read, `UnusableInput` for a filter that does not fit the column
        types, `SourceUnavailable` for what cannot be read, or not in time.
        """
        ...


def file_snapshot(kind: Kind, files: Iterable[Path]) -> str:
    """The state of files by name, size and time of writing; one that is absent does not count."""
    found = [(file.name, file.stat()) for file in files if file.exists()]
    return f"{kind} {digest([[name, stat.st_size, str(stat.st_mtime_ns)] for name, stat in found])}"


def require_columns(source_id: str, plan: ExtractionPlan, stored: dict[str, pl.DataType]) -> None:
    """Raise `SourceColumnMissing` for the first column of the plan, or of its filter, that the source lacks."""
    for name in _needed(plan):
        if name not in stored:
            raise SourceColumnMissing(f"source {source_id} has no column {name}")


def require_one_type(source_id: str, plan: ExtractionPlan, texts: Container[str]) -> None:
    """Raise `UnusableInput` where a column of `texts` is delivered twice and read as two types."""
    first: dict[str, PlannedColumn] = {}
    for column in plan.columns:
        other = first.setdefault(column.source_name, column)
        same = (column.dtype, column.text_format) == (other.dtype, other.text_format)
        if not same and column.source_name in texts:
            raise UnusableInput(
                f"source {source_id} has one column of text for {other.name} and {column.name}, which have two types: "
                "agree on one type and format for both"
            )


def require_one_zone(
    source_id: str, plan: ExtractionPlan, stored: dict[str, pl.DataType], files: Iterable[Mapping[str, pl.DataType]]
) -> None:
    """Raise `SourceUnavailable` for a column of the plan that has a time zone in `stored` or in a file, not in both.

    Polars refuses files that differ in type, but takes a moment without a time zone for one in UTC, and the reverse.
    """
    moments = {name: zoned for name in _needed(plan) if (zoned := _zoned(stored[name]))}
    for types in files if moments else ():
        for name, zoned in moments.items():
            found = _zoned(types[name]) if name in types else []
            if found not in ([], zoned):
                raise SourceUnavailable(
                    f"source {source_id} has column {name} with a time zone in one file and without in another: "
                    "write them alike"
                )


def _needed(plan: ExtractionPlan) -> list[str]:
    return [*(column.source_name for column in plan.columns), *sorted(plan.source_filter.columns)]


def _zoned(dtype: pl.DataType) -> list[bool]:
    """Of each moment in the type, whether it has a time zone."""
    if isinstance(dtype, pl.Datetime):
        return [dtype.time_zone is not None]
    if isinstance(dtype, pl.List | pl.Array):
        return _zoned(dtype.inner)  # type: ignore[arg-type]  # of an instance it is one
    if isinstance(dtype, pl.Struct):
        return [zoned for field in dtype.fields for zoned in _zoned(field.dtype)]  # type: ignore[arg-type]
    return []


def guarded(source_id: str, otherwise: str, read: Callable[[], T]) -> T:
    """Run `read`; what Polars, Arrow and a file system raise may quote data, so nothing of it is kept.

    `otherwise` ends the sentence about files that are there: what else they may be than damaged or in use.
    """
    missing = False
    try:
        return read()
    except FileNotFoundError:
        missing = True
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, pa.ArrowException, OSError, UnicodeError):
        missing = False
    reason = "does not exist" if missing else f"cannot be read: it is damaged, in use, or {otherwise}"
    raise SourceUnavailable(f"source {source_id} {reason}")


def of_equal_size(frames: Iterator[pl.DataFrame], most: int | None = None) -> Iterator[pl.DataFrame]:
    """Cut a stream of frames of any size into frames of `most` rows (`BATCH_ROWS`), the last one smaller; never empty.

    Nothing is copied: a frame is in several pieces, of any sizes. Rows of more than a kilobyte make smaller frames.
    """
    most = BATCH_ROWS if most is None else most
    waiting: list[pl.DataFrame] = []
    rows = size = 0
    for frame in frames:
        waiting.append(frame)
        rows, size = rows + frame.height, size + _bytes_of(frame)
        while rows >= most:
            whole = pl.concat(waiting)
            yield whole.head(most)
            waiting = [whole.slice(most)]
            rows, size = rows - most, _bytes_of(waiting[0])
        if size > BATCH_BYTES and rows:
            yield pl.concat(waiting)
            waiting, rows, size = [], 0, 0
    if rows:
        yield pl.concat(waiting)


def _bytes_of(frame: pl.DataFrame) -> int:
    """About how much memory it takes, by some rows here and there: to ask each text costs as much as to read it."""
    places = range(0, frame.height, max(frame.height // _PLACES, _LOOKED_AT))
    looked_at = [frame.slice(at, _LOOKED_AT) for at in places]
    rows = sum(each.height for each in looked_at)
    return frame.height * int(sum(each.estimated_size() for each in looked_at)) // max(rows, 1)
