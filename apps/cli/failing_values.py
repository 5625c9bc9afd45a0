"""The values behind a verdict, for an operator who must mend the data: read anew from the file, kept nowhere.

Only `gla contract check --show-values` uses this, on a terminal. A verdict and a report have no values; so the file is
read again, once for the rows that the verdict names and once before that for keys, with 8 bytes a row in memory.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from core.text import printable
from flows.sources.files import ExtractionPlan, FileSource
from flows.sources.plan import PlannedColumn
from schemas.compiler import CompiledTable
from schemas.verdict import NOT_AGREED, ROWS_NAMED, Result, Verdict

MOST = ROWS_NAMED  # values of each promise that is broken
_LONGEST = 200  # characters of a value
_KEY_RULES = ("unique", "primaryKey", "duplicateValues")
_OWN_COLUMN = re.compile(r"[^.\[]+")  # of `adres.postcode` or `telefoons[]`


@dataclass
class Found:
    """Values that broke one promise, each with the numbers of its rows, from 1."""

    result: Result
    values: list[tuple[tuple[int, ...], str]] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return len(self.values) >= MOST

    def add(self, rows: tuple[int, ...], value: object) -> None:
        text = printable(str(value))
        self.values.append((rows, text if len(text) <= _LONGEST else text[:_LONGEST] + "…"))


def failing_values(
    compiled: CompiledTable, source: FileSource, planned: tuple[PlannedColumn, ...], verdict: Verdict
) -> list[Found]:
    """For each broken promise up to `MOST` values. Of promises about the whole, such as a row count, there are none."""
    found = [Found(each) for each in verdict.results if not each.holds]
    extra = sorted(set(source.schema()) - {column.source_name for column in planned})
    for each in found:
        if each.result.rule == NOT_AGREED:
            for name in extra[:MOST]:
                each.add((), name)
    searches = [search for each in found if (search := _search(each, compiled)) is not None]
    if searches:
        _read_again(source, planned, searches)
    return found


@dataclass
class _Search:
    """Looks for the values of one broken promise in the batches of the file."""

    found: Found
    columns: tuple[str, ...]

    def learn(self, frame: pl.DataFrame) -> None:
        """A first look at every batch, for promises that need to know all rows."""

    def look(self, frame: pl.DataFrame, shown: pl.DataFrame, before: int) -> None:
        """Find values in a batch that has `before` rows before it; `shown` is the batch as the file has it."""
        raise NotImplementedError

    @property
    def needs_all_rows(self) -> bool:
        return False

    def add_rows(self, shown: pl.DataFrame, places: list[int], before: int) -> None:
        for at in places[: MOST - len(self.found.values)]:
            self.found.add((before + at + 1,), _value(shown, self.columns, at))


@dataclass
class _Named(_Search):
    """The rows that the verdict names."""

    def look(self, frame: pl.DataFrame, shown: pl.DataFrame, before: int) -> None:
        rows = self.found.result.rows
        self.add_rows(shown, [row - 1 - before for row in rows if before < row <= before + frame.height], before)


@dataclass
class _Unreadable(_Search):
    """Text that could not be read as its column's type."""

    def look(self, frame: pl.DataFrame, shown: pl.DataFrame, before: int) -> None:
        column = self.columns[0]
        lost = frame[column].is_null() & shown[column].is_not_null()
        self.add_rows(shown, lost.arg_true().head(MOST).to_list(), before)


@dataclass
class _Measured(_Search):
    """The rows that a quality metric counted."""

    compiled: CompiledTable
    number: int  # of the metric

    def look(self, frame: pl.DataFrame, shown: pl.DataFrame, before: int) -> None:
        counted = self.compiled.metrics_for(self.compiled.accepted(frame.schema))[self.number].counted
        if counted is None or not frame.select(counted).item():
            return
        by_row = frame.with_row_index("\0row").group_by("\0row", maintain_order=True).agg(counted.alias("\0count"))
        self.add_rows(shown, by_row.filter(pl.col("\0count") > 0)["\0row"].head(MOST).to_list(), before)


@dataclass
class _Repeated(_Search):
    """Keys that occur more than once."""

    seed: int = field(default_factory=lambda: secrets.randbits(64))
    hashes: list[pl.Series] = field(default_factory=list)
    repeated: pl.Series | None = None
    rows: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[int, object] = field(default_factory=dict)

    @property
    def needs_all_rows(self) -> bool:
        return True

    def learn(self, frame: pl.DataFrame) -> None:
        self.hashes.append(self._keys(frame)["\0hash"])

    def look(self, frame: pl.DataFrame, shown: pl.DataFrame, before: int) -> None:
        if self.repeated is None:
            whole = pl.concat(self.hashes)
            self.repeated = whole.filter(whole.is_duplicated()).unique(maintain_order=True).head(MOST)
            self.hashes.clear()
        for at, key in self._keys(frame).filter(pl.col("\0hash").is_in(self.repeated.implode())).iter_rows():
            if len(self.rows[key]) < MOST:
                self.rows[key].append(before + at + 1)
                self.texts.setdefault(key, _value(shown, self.columns, at))
        self.found.values.clear()
        for key, rows in self.rows.items():
            self.found.add(tuple(rows), self.texts[key])

    def _keys(self, frame: pl.DataFrame) -> pl.DataFrame:
        keys = frame.select(self.columns).with_row_index("\0row").drop_nulls()
        return keys.select("\0row", keys.select(self.columns).hash_rows(self.seed).alias("\0hash"))


@dataclass
class _Dangling(_Search):
    """Foreign keys that occur in no row as the key that they point to."""

    to_columns: tuple[str, ...]
    known: pl.DataFrame | None = None

    @property
    def needs_all_rows(self) -> bool:
        return True

    def learn(self, frame: pl.DataFrame) -> None:
        keys = frame.select(self.to_columns).drop_nulls().unique()
        self.known = keys if self.known is None else pl.concat([self.known, keys]).unique()

    def look(self, frame: pl.DataFrame, shown: pl.DataFrame, before: int) -> None:
        if self.known is None:
            return
        keys = frame.select(
            pl.col(name).cast(self.known.schema[to]) for name, to in zip(self.columns, self.to_columns, strict=True)
        )
        lost = (
            keys.with_row_index("\0row")
            .drop_nulls()
            .join(self.known, left_on=self.columns, right_on=self.to_columns, how="anti", maintain_order="left")
        )
        self.add_rows(shown, lost["\0row"].head(MOST).to_list(), before)


def _search(found: Found, compiled: CompiledTable) -> _Search | None:
    """How the values of a broken promise are found; None where there are none."""
    result = found.result
    for reference in compiled.references:
        if (reference.label, reference.rule) == (result.column, result.rule):
            return _Dangling(found, reference.columns, reference.to_columns)
    for key in compiled.unique_keys:
        if result.rule in _KEY_RULES and (key.label, key.rule) == (result.column, result.rule):
            return _Repeated(found, key.columns)
    own = _OWN_COLUMN.match(result.column)
    column = result.column if result.column in compiled.columns else own[0] if own else ""
    if column not in compiled.columns:
        return None
    if result.rows:
        return _Named(found, (column,))
    for number, metric in enumerate(compiled.metrics):
        if (metric.column, metric.rule, str(metric.threshold)) == (result.column, result.rule, result.threshold):
            return _Measured(found, (column,), compiled, number)
    return _Unreadable(found, (column,)) if result.rule == "logicalType" else None


def _read_again(source: FileSource, planned: tuple[PlannedColumn, ...], searches: list[_Search]) -> None:
    present = {column.name for column in planned}
    searches = [each for each in searches if present.issuperset(each.columns)]
    if any(each.needs_all_rows for each in searches):
        for frame, _ in _batches(source, planned):
            for each in searches:
                each.learn(frame)
    before = 0
    for frame, shown in _batches(source, planned):
        for each in searches:
            if each.needs_all_rows or not each.found.is_full:
                each.look(frame, shown, before)
        before += frame.height


def _batches(source: FileSource, planned: tuple[PlannedColumn, ...]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Each batch as it was judged, and as the file has it: of a CSV file that is its text."""
    typed = source.batches(ExtractionPlan(planned), lambda _column, _count: None)
    if source.kind != "csv":
        yield from ((frame, frame) for frame in typed)
        return
    texts = tuple(PlannedColumn(each.source_name, each.name, pl.String()) for each in planned)
    yield from zip(typed, source.batches(ExtractionPlan(texts)), strict=True)


def _value(shown: pl.DataFrame, columns: tuple[str, ...], at: int) -> object:
    values = [shown[column][at] for column in columns]
    return ", ".join("(empty)" if each is None else _text(each) for each in values)


def _text(value: object) -> str:
    return str(value.to_list()) if isinstance(value, pl.Series) else str(value)
