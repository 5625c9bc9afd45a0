"""Judge a stream of batches against a compiled table, with counts only.

pandera checks each eager batch (a lazy frame would pass unchecked); unique keys and quality metrics are kept over the
whole stream. No failing value is kept, shown, logged or chained: pandera's errors hold rows, so they end here.
Each validator first proves on a known-bad frame that validation is really on; pandera can be switched off by an
environment variable.

Uniqueness is judged by keyed 64-bit hashes, 8 bytes a row, with a fresh key for each validator. A collision can only
refuse a good delivery (about 1 in 100,000 for 20 million rows; the next run has another key), never accept a bad one.
"""

from __future__ import annotations

import secrets
from collections import Counter

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason

from core.errors import Unexpected
from schemas.compiler import CompiledTable, compile_table
from schemas.quality import WHOLE_TABLE, Threshold
from schemas.table import Column, Table
from schemas.verdict import MISSING, NOT_AGREED, Failure, Verdict

_BROKE_DOWN = "validation of a batch broke down, so the batch counts as not validated"


class Validator:
    """Feed every batch to `check`, then ask `finish` for the verdict on all of them."""

    def __init__(self, compiled: CompiledTable) -> None:
        prove_it_fails()
        self._start(compiled)

    def _start(self, compiled: CompiledTable) -> None:
        self._compiled = compiled
        self._rows = 0
        self._failures: Counter[tuple[str, str]] = Counter()
        self._unreadable: Counter[str] = Counter()
        self._metrics = [0] * len(compiled.metrics)
        self._seed = secrets.randbits(64)
        self._hashes: list[list[pl.Series]] = [[] for _ in compiled.unique_keys]
        self._schema = compiled.schema
        self._stored: dict[str, pl.DataType] = {}  # the types of the first batch, where they are right
        self._bound = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The delivered names, in the contract's order."""
        return self._compiled.columns

    def check(self, frame: pl.DataFrame) -> bool:
        """Judge one batch; every batch must have the types of the first. Raises nothing about the data.

        True if no row of this batch failed; keys and metrics of the whole are judged by `finish` only.
        """
        if not self._bound:
            self._stored, self._bound = self._compiled.accepted(frame.schema), True
            self._schema = self._compiled.schema_for(self._stored)
        self._rows += frame.height
        return self._passes(frame)

    def unreadable(self, column: str, count: int) -> None:
        """Report values that a text source could not read as the column's type; `check` sees them as null."""
        self._failures[column, "logicalType"] += count
        self._unreadable[column] += count

    def finish(self) -> Verdict:
        """The verdict on all batches so far."""
        failures = self._declared()
        warnings: list[Failure] = []
        for failure, threshold in self._measured():
            if not threshold.holds(failure.count, self._rows):
                (failures if threshold.is_error else warnings).append(failure)
        return Verdict(self._rows, tuple(sorted(failures)), tuple(sorted(warnings)))

    def _declared(self) -> list[Failure]:
        counts = self._failures.copy()
        for column, count in self._unreadable.items():
            counts[column, "required"] -= count  # an unreadable value is there, and is counted already
        wrong_types = [key for key in counts if key[1] == "logicalType"]  # wrong even where there are no rows
        counts.update(key for key in wrong_types if counts[key] == 0)
        return [Failure(column, rule, count) for (column, rule), count in counts.items() if count > 0]

    def _measured(self) -> list[tuple[Failure, Threshold]]:
        measured = []
        for metric, count in zip(self._compiled.metrics, self._metrics, strict=True):
            total = self._rows if metric.counted is None else count
            measured.append((Failure(metric.column, metric.rule, total), metric.threshold))
        for key, hashes in zip(self._compiled.unique_keys, self._hashes, strict=True):
            repeated = _repeated(hashes)
            measured.append((Failure(key.label, key.rule, repeated), key.threshold))
        return measured

    def _passes(self, frame: pl.DataFrame) -> bool:
        errors: list[SchemaError] | None = None
        try:
            self._count_metrics(frame)
            self._hash_keys(frame)
            self._schema.validate(frame, lazy=True)
            return True
        except pa.errors.SchemaErrors as error:
            errors = error.schema_errors
        except Exception:  # noqa: BLE001 - whatever else pandera or Polars raises may hold rows: nothing is kept
            errors = None
        if errors is None:
            raise Unexpected(_BROKE_DOWN)
        counted = [self._count_one(each, frame) for each in errors]
        if not any(counted):
            raise Unexpected(_BROKE_DOWN)
        return False

    def _count_one(self, error: SchemaError, frame: pl.DataFrame) -> bool:
        """Count one of pandera's errors; of a column of another type only that, since its values say no more."""
        reason, column = error.reason_code, str(error.schema.name)
        if reason == SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            self._failures[str(error.failure_cases), MISSING] = 1
        elif reason == SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
            self._failures[WHOLE_TABLE, NOT_AGREED] = len(set(frame.columns) - set(self._compiled.columns))
        elif reason == SchemaErrorReason.WRONG_DATATYPE:
            self._failures[column, "logicalType"] += frame.height
        elif not self._is_sound(frame, column):
            return False
        elif reason == SchemaErrorReason.SERIES_CONTAINS_NULLS:
            self._failures[column, "required"] += _false(error)
        elif reason == SchemaErrorReason.DATAFRAME_CHECK and isinstance(error.check, pa.Check):
            self._failures[column, str(error.check.name)] += _false(error)
        else:
            raise Unexpected(_BROKE_DOWN)
        return True

    def _count_metrics(self, frame: pl.DataFrame) -> None:
        sums = {
            str(at): metric.counted
            for at, metric in enumerate(self._compiled.metrics)
            if metric.counted is not None and self._is_sound(frame, metric.column)
        }
        if sums:
            for at, count in frame.select(**sums).row(0, named=True).items():
                self._metrics[int(at)] += count or 0

    def _hash_keys(self, frame: pl.DataFrame) -> None:
        for key, hashes in zip(self._compiled.unique_keys, self._hashes, strict=True):
            if all(self._is_sound(frame, column) for column in key.columns):
                keys = frame.select(key.columns).drop_nulls()
                hashes.append(keys.hash_rows(self._seed))

    def _is_sound(self, frame: pl.DataFrame, column: str) -> bool:
        """Whether the batch has the column with the type of the stream; if not, that is counted as a failure."""
        return column in self._stored and frame.schema.get(column) == self._stored[column]


def _false(error: SchemaError) -> int:
    output = error.check_output
    if not isinstance(output, pl.DataFrame):
        raise Unexpected("validation gave no count of failures")
    return int((~output.to_series()).sum())


def _repeated(hashes: list[pl.Series]) -> int:
    if not hashes:
        return 0
    whole = pl.concat(hashes)
    return whole.len() - whole.n_unique()


def prove_it_fails() -> None:
    """Validate a frame that breaks every kind of rule, and raise `Unexpected` unless each is found."""
    table = Table("canary", (Column("n", "n", "integer", {"minimum": 1}, required=True), Column("t", "t", "string")))
    validator = Validator.__new__(Validator)
    validator._start(compile_table(table))  # noqa: SLF001 - without the proof itself
    validator.check(pl.DataFrame({"n": [0, None, 1], "t": [1, 2, 3], "extra": [0, 0, 0]}))
    found = {(each.column, each.rule, each.count) for each in validator.finish().failures}
    if found != {("n", "minimum", 1), ("n", "required", 1), ("t", "logicalType", 3), (WHOLE_TABLE, NOT_AGREED, 1)}:
        raise Unexpected("validation does not find known errors: it may be switched off (PANDERA_VALIDATION_ENABLED)")
