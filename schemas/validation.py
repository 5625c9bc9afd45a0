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
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason

from core.errors import Unexpected
from core.period import Period
from schemas.compiler import CompiledTable, compile_table
from schemas.logical_types import LOGICAL_TYPE
from schemas.quality import EXACTLY_NONE, WHOLE_TABLE, Threshold
from schemas.table import Column, Table
from schemas.verdict import MISSING, NOT_AGREED, ROWS_NAMED, Result, Sum, Verdict

_BROKE_DOWN = "validation of a batch broke down, so the batch counts as not validated"
Promise = tuple[str, str]  # column and rule, as a verdict calls them


class Validator:
    """Feed every batch to `check`, then ask `finish` for the verdict on all of them."""

    def __init__(
        self,
        compiled: CompiledTable,
        period: Period | None = None,
        scratch: object | None = None,  # noqa: ARG002
        sums: Sequence[str] = (),
    ) -> None:
        prove_it_fails()
        self._start(compiled, period, sums)

    def _start(self, compiled: CompiledTable, period: Period | None = None, sums: Sequence[str] = ()) -> None:
        compiled.require_period(period)
        self._compiled, self._period = compiled, period
        self._rows = 0
        self._failures: Counter[Promise] = Counter()
        self._failing_rows: dict[Promise, list[int]] = {}
        self._unjudged: set[str] = set()
        self._unreadable: Counter[str] = Counter()
        self._metrics = [0] * len(compiled.metrics)
        self._seed = secrets.randbits(64)
        self._hashes: list[list[pl.Series]] = [[] for _ in compiled.unique_keys]
        self._present = dict.fromkeys(compiled.columns, 0)
        self._sums = dict.fromkeys(sums, Sum(0, 0))
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
            self._schema = self._compiled.schema_for(self._stored, self._period)
        passes = self._passes(frame)
        self._rows += frame.height
        return passes

    def unreadable(self, column: str, count: int) -> None:
        """Report values that a text source could not read as the column's type; `check` sees them as null."""
        self._failures[column, LOGICAL_TYPE] += count
        self._unreadable[column] += count
        self._present[column] += count

    def finish(self) -> Verdict:
        """The verdict on all batches so far."""
        results = (*self._declared(), *self._measured())
        present, sums = MappingProxyType(dict(self._present)), MappingProxyType(dict(self._sums))
        return Verdict(self._rows, results, present, sums)

    def _declared(self) -> Iterator[Result]:
        counts = self._failures.copy()
        for column, count in self._unreadable.items():
            counts[column, "required"] -= count  # an unreadable value is there, and is counted already
        for column, rule in self._promises(counts):
            count = max(counts[column, rule], 0)
            broken = count > 0
            if rule == LOGICAL_TYPE and (column, rule) in counts and not broken:
                count, broken = 1, True  # a wrong type is wrong even where there are no rows
            if broken or column not in self._unjudged:
                named = () if column in self._unreadable else tuple(self._failing_rows.get((column, rule), ()))
                yield Result(column, rule, count, holds=not broken, rows=named if broken else ())

    def _promises(self, counts: Mapping[Promise, int]) -> Iterator[Promise]:
        """Every promise about rows, in the contract's order; that a column is there only where it is not."""
        promises = [(WHOLE_TABLE, NOT_AGREED)]
        for name, column in self._schema.columns.items():
            own = [MISSING] if (name, MISSING) in counts else []
            own += [LOGICAL_TYPE, *([] if column.nullable else ["required"])]
            promises += [(name, rule) for rule in own]
            promises += [(str(check.title), str(check.name)) for check in column.checks]
        inside = [each for each in counts if counts[each] > 0 or each[1] == LOGICAL_TYPE]  # types of nested values
        yield from dict.fromkeys([*promises, *inside])

    def _measured(self) -> Iterator[Result]:
        for metric, count in zip(self._compiled.metrics, self._metrics, strict=True):
            total = self._rows if metric.counted is None else count
            yield from self._result((metric.column,), metric.column, metric.rule, total, metric.threshold)
        for key, hashes in zip(self._compiled.unique_keys, self._hashes, strict=True):
            yield from self._result(key.columns, key.label, key.rule, _repeated(hashes), key.threshold)

    def _result(
        self, columns: tuple[str, ...], label: str, rule: str, count: int, threshold: Threshold
    ) -> Iterator[Result]:
        holds = threshold.holds(count, self._rows)
        if not holds or self._unjudged.isdisjoint(columns):
            allowed = None if threshold is EXACTLY_NONE else str(threshold)
            yield Result(label, rule, count, threshold.severity, allowed, holds)

    def _passes(self, frame: pl.DataFrame) -> bool:
        errors: list[SchemaError] | None = None
        try:
            self._count_metrics(frame)
            self._hash_keys(frame)
            self._add_up(frame)
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
            self._unjudged.update(self._places(str(error.failure_cases)))
        elif reason == SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
            self._failures[WHOLE_TABLE, NOT_AGREED] = len(set(frame.columns) - set(self._compiled.columns))
        elif reason == SchemaErrorReason.WRONG_DATATYPE:
            self._unjudged.update(self._places(column))
            self._count_types(column, frame)
        elif not self._is_sound(frame, column):
            return False
        elif reason == SchemaErrorReason.SERIES_CONTAINS_NULLS:
            self._count_false((column, "required"), error)
        elif reason == SchemaErrorReason.DATAFRAME_CHECK and isinstance(error.check, pa.Check):
            self._count_false((str(error.check.title), str(error.check.name)), error)
        else:
            raise Unexpected(_BROKE_DOWN)
        return True

    def _places(self, column: str) -> set[str]:
        """The column and what stands in it, as far as it is judged."""
        return {column, *(str(check.title) for check in self._schema.columns[column].checks)}

    def _count_types(self, column: str, frame: pl.DataFrame) -> None:
        """Count a column of another type; of an array or object, where in it the type differs."""
        for place, rule in self._compiled.misfits(column, frame.schema[column]) or [(column, LOGICAL_TYPE)]:
            if rule == LOGICAL_TYPE:
                self._failures[place, rule] += frame.height
                self._name_rows((place, rule), pl.Series([False]).new_from_index(0, min(frame.height, ROWS_NAMED)))
            else:
                self._failures[place, rule] = 1

    def _count_false(self, promise: Promise, error: SchemaError) -> None:
        output = error.check_output
        if not isinstance(output, pl.DataFrame):
            raise Unexpected("validation gave no count of failures")
        held = output.to_series()
        self._failures[promise] += int((~held).sum())
        self._name_rows(promise, held)

    def _name_rows(self, promise: Promise, held: pl.Series) -> None:
        named = self._failing_rows.setdefault(promise, [])
        failing = (~held).arg_true().head(ROWS_NAMED - len(named))
        named.extend(self._rows + 1 + at for at in failing)

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

    def _add_up(self, frame: pl.DataFrame) -> None:
        for column in self._present.keys() & set(frame.columns):
            self._present[column] += frame.height - frame[column].null_count()
        for column, so_far in self._sums.items():
            if self._is_sound(frame, column):
                values = frame[column]
                total = so_far.total + int(values.cast(pl.Int128).sum())
                self._sums[column] = Sum(total, so_far.nonzero + int((values != 0).sum()))

    def _is_sound(self, frame: pl.DataFrame, column: str) -> bool:
        """Whether the batch has the column with the type of the stream; if not, that is counted as a failure."""
        return column in self._stored and frame.schema.get(column) == self._stored[column]


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
    if found != {("n", "minimum", 1), ("n", "required", 1), ("t", LOGICAL_TYPE, 3), (WHOLE_TABLE, NOT_AGREED, 1)}:
        raise Unexpected("validation does not find known errors: it may be switched off (PANDERA_VALIDATION_ENABLED)")
