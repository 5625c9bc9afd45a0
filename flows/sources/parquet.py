"""Read Parquet files in one of two ways, which give the same frames.

`fast_frames` is for our own registered sources: Polars' streaming reader, with the filter pushed down. It trusts the
file. What a damaged file does to it was measured: `collect_batches` ends without an error where a thread of Polars
panics, so that a delivery would lack rows; `sink_batches` raises, so that is used. It verifies no checksums, believes
statistics, and a hostile page header aborts the process.

`verified_frames` is for a file from anyone: Arrow's reader, made for untrusted input, with the pages' checksums, UTF-8
and the numbers of rows verified. It takes about two and a half times the processor time.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from flows.sources.plan import ExtractionPlan, PlannedColumn

MOST_COLUMNS = 10_000
_ROWS_AT_ONCE = 131_072
_BYTES_AT_ONCE = 64 * 1024 * 1024  # by the averages that the file itself tells
_QUEUED = 2  # frames that wait while one is judged


def stored_types(files: Sequence[Path]) -> dict[str, pl.DataType]:
    """The columns of the first file; categories, which are only a way to store text, are text.

    Arrow reads the metadata of every file first: a nested schema of many levels is a stack overflow in Polars.
    """
    opened = [_opened(file) for file in files]
    return polars_types(opened[0].schema_arrow)


def row_count(files: Sequence[Path]) -> int:
    """The number of rows, as the metadata has it."""
    return sum(int(_opened(file).metadata.num_rows) for file in files)


def fast_frames(files: Sequence[Path], plan: ExtractionPlan, stored: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    """The plan's columns and rows of files that are ours."""
    scan = pl.scan_parquet(
        list(files), glob=False, hive_partitioning=False, extra_columns="ignore", missing_columns="raise"
    )
    return scanned(scan, plan.columns, plan.source_filter.expression(plan.period, stored), {})


def scanned(
    scan: pl.LazyFrame, columns: Sequence[PlannedColumn], keep: pl.Expr, constants: Mapping[str, pl.Expr]
) -> Iterator[pl.DataFrame]:
    """Columns and rows of a scan in the order of its files; a column in `constants` has that value everywhere."""
    kinds = scan.collect_schema()
    coded = [name for name, dtype in kinds.items() if dtype.base_type() in (pl.Categorical, pl.Enum)]
    rows = scan.with_columns(pl.col(coded).cast(pl.String)).filter(keep)
    whole = rows.with_columns(value.alias(name) for name, value in constants.items())
    return _streamed(whole.select(pl.col(each.source_name).alias(each.name) for each in columns))


def verified_frames(
    files: Sequence[Path], plan: ExtractionPlan, stored: dict[str, pl.DataType]
) -> Iterator[pl.DataFrame]:
    """The plan's columns and rows of files from anyone. What is wrong with them is a `pa.ArrowException` or OSError."""
    keep = plan.source_filter.expression(plan.period, stored)
    needed = list(dict.fromkeys([*(each.source_name for each in plan.columns), *sorted(plan.source_filter.columns)]))
    if not needed:
        return
    for file in files:
        for frame in _verified(file, {name: stored[name] for name in needed}):
            yield frame.filter(keep).select(pl.col(each.source_name).alias(each.name) for each in plan.columns)


def _opened(file: Path, coded: Sequence[str] = ()) -> pq.ParquetFile:
    opened = pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False, read_dictionary=list(coded))
    metadata = opened.metadata
    rows = sum(metadata.row_group(at).num_rows for at in range(metadata.num_row_groups))
    if metadata.num_columns > MOST_COLUMNS or rows != metadata.num_rows:
        raise pa.ArrowInvalid("the metadata contradicts itself or has too many columns")
    return opened


def polars_types(schema: pa.Schema) -> dict[str, pl.DataType]:
    """The columns of an Arrow schema; categories are text. Raises `pa.ArrowInvalid` for a type that Polars lacks."""
    plain = [field.with_type(field.type.value_type) if _is_coded(field.type) else field for field in schema]
    return dict(_frame(pa.schema(plain).empty_table()).schema)


def _is_coded(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_dictionary(dtype))


def _verified(file: Path, types: dict[str, pl.DataType]) -> Iterator[pl.DataFrame]:
    schema = _opened(file).schema_arrow
    found = polars_types(schema)
    if any(found.get(name) != dtype for name, dtype in types.items()):
        raise pa.ArrowInvalid("files of one folder differ in a column")
    opened = _opened(file, [name for name in types if types[name] == pl.String])
    for at in range(opened.metadata.num_row_groups):
        group = opened.metadata.row_group(at)
        size = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE * group.num_rows // max(1, group.total_byte_size)))
        rows = 0
        for batch in opened.iter_batches(batch_size=size, row_groups=[at], columns=list(types)):
            batch.validate(full=True)
            rows += batch.num_rows
            yield _decoded(batch).select(list(types))
        if rows != group.num_rows:
            raise pa.ArrowInvalid("a column has another number of rows than the metadata says")


def _decoded(batch: pa.RecordBatch) -> pl.DataFrame:
    """Categories become text by pointing at it: a long text that occurs a million times is in memory once."""
    names = list(batch.schema.names)
    return pl.DataFrame([_series(column).alias(name) for name, column in zip(names, batch.columns, strict=True)])


def _series(column: pa.Array) -> pl.Series:
    if _is_coded(column.type):
        return _series(column.dictionary).gather(_series(column.indices).cast(pl.UInt32))
    return _frame(pa.table([column], names=["x"])).to_series()


def _frame(table: pa.Table) -> pl.DataFrame:
    try:
        frame = pl.DataFrame(pl.from_arrow(table))
        frame.columns = table.column_names  # Polars makes up a name for a column without one
        return frame
    except (ValueError, TypeError, NotImplementedError):
        pass
    raise pa.ArrowInvalid("a type that cannot be read")


def _streamed(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The batches of a query; an error or panic in it is raised here, after the batches before it."""
    waiting: queue.Queue[pl.DataFrame | BaseException | None] = queue.Queue(maxsize=_QUEUED)
    stopped = threading.Event()

    def take(batch: pl.DataFrame) -> bool:
        waiting.put(batch)
        return stopped.is_set()

    def run() -> None:
        end: BaseException | None = None
        try:
            frame.sink_batches(take, maintain_order=True)
        except BaseException as error:  # noqa: BLE001 - handed over, to be raised where the batches are read
            end = error
        waiting.put(end)

    thread = threading.Thread(target=run, name="parquet", daemon=True)
    thread.start()
    try:
        while isinstance(batch := waiting.get(), pl.DataFrame):
            yield batch
        thread.join()
        if batch is not None:
            raise batch
    finally:
        stopped.set()
        while thread.is_alive():  # who stops early lets the query end: its next batch tells it to
            try:
                waiting.get(timeout=0.05)
            except queue.Empty:
                continue
