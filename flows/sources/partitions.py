"""Values of columns that are in the names of folders: `.../year=2026/month=03/part.parquet`, as Hive writes them.

Such a value is text for which the contract has the type, as in CSV. A folder whose values the filter leaves out is not
opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa

from flows.sources.plan import ExtractionPlan, PlannedColumn, Unreadable
from flows.sources.text import read_text
from schemas.filters import Filter

_NULL = "__HIVE_DEFAULT_PARTITION__"
_UNFINISHED = "_temporary"  # where Hadoop and Spark write until a job is done


@dataclass(frozen=True)
class Partition:
    """Files that follow each other and have the same values of `keys`."""

    files: tuple[str, ...]
    values: Mapping[str, str | None]


def holds_rows(name: str) -> bool:
    """Whether the file below a folder is one to read: Parquet by its ending, which a writer has finished."""
    folder, _, last = name.rpartition("/")
    return last.lower().endswith(".parquet") and _UNFINISHED not in folder.split("/")


def partitions(files: Sequence[str]) -> list[Partition]:
    """`files` by the folders in their names, which are sorted already. Raises `pa.ArrowInvalid` if these differ."""
    grouped: dict[str, list[str]] = {}
    for file in files:
        grouped.setdefault(file.rpartition("/")[0], []).append(file)
    found = [Partition(tuple(group), _values(folder)) for folder, group in grouped.items()]
    if len({tuple(each.values) for each in found}) > 1:
        raise pa.ArrowInvalid("folders with other keys than their neighbours")
    return found


def _values(folder: str) -> dict[str, str | None]:
    values: dict[str, str | None] = {}
    for part in folder.split("/") if folder else []:
        key, sign, value = part.partition("=")
        if not (key and sign) or unquote(key) in values:
            raise pa.ArrowInvalid("a folder whose name is no key=value, or has a key that is there already")
        values[unquote(key)] = None if value == _NULL else unquote(value)
    return values


def chosen(
    found: Sequence[Partition], plan: ExtractionPlan, unreadable: Unreadable
) -> Iterator[tuple[Partition, dict[str, pl.Expr]]]:
    """The partitions whose values pass the filter, each with its values as constants of the contract's types."""
    keys = list(found[0].values)
    typed = {each.source_name: each for each in plan.columns if each.source_name in keys}
    read = pl.DataFrame([_read(key, [each.values[key] for each in found], typed.get(key), unreadable) for key in keys])
    conditions = tuple(each for each in plan.source_filter.conditions if each.column in keys)
    keep = Filter(conditions).expression(plan.period, dict(read.schema))
    kept = read.select(keep.fill_null(value=False)).to_series() if keys else pl.Series([True])
    for at, each in enumerate(found):
        if kept[at if len(kept) > 1 else 0]:
            yield each, {key: pl.lit(read[key].slice(at, 1)).first() for key in keys}


def without_keys(rows: Filter, keys: Mapping[str, Any]) -> Filter:
    """The conditions about columns that are in the files."""
    return Filter(tuple(each for each in rows.conditions if each.column not in keys))


def _read(key: str, texts: Sequence[str | None], planned: PlannedColumn | None, unreadable: Unreadable) -> pl.Series:
    text = pl.Series(key, texts, dtype=pl.String)
    if planned is None or planned.dtype == pl.String:
        return text
    read = text.to_frame().select(read_text(pl.col(key), planned).alias(key)).to_series()
    if lost := read.null_count() - text.null_count():
        unreadable(planned.name, lost)
    return read
