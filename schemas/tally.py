"""How often each promise about rows was broken, and in which rows first, from the errors of pandera.

pandera's errors hold rows. Only how many there are and their numbers are taken from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError, SchemaErrorReason

from core.errors import Unexpected
from schemas.compiler import CompiledTable
from schemas.logical_types import LOGICAL_TYPE
from schemas.quality import WHOLE_TABLE
from schemas.verdict import MISSING, NOT_AGREED, ROWS_NAMED, Result

REQUIRED = "required"
Promise = tuple[str, str]  # column and rule, as a verdict calls them
_NOT_UNDERSTOOD = "the validating library found something that it has no word for, so the batch is not validated"


class Tally:
    """Counts of broken promises, added up over batches. Holds no values."""

    def __init__(self, compiled: CompiledTable) -> None:
        self._compiled = compiled
        self._broken: Counter[Promise] = Counter()
        self._rows: dict[Promise, list[int]] = {}
        self._unreadable: Counter[str] = Counter()
        self.unjudged: set[str] = set()  # columns, and places in them, that some batch had not or with another type

    @property
    def unreadable(self) -> Mapping[str, int]:
        """How many values of a column could not be read."""
        return self._unreadable

    def add_unreadable(self, column: str, count: int) -> None:
        """Values of a text source that are not of the column's type; the batches have them as null."""
        self._broken[column, LOGICAL_TYPE] += count
        self._unreadable[column] += count

    def add(
        self,
        errors: Sequence[SchemaError],
        frame: pl.DataFrame,
        schema: pa.DataFrameSchema,
        rows_before: int,
        is_sound: Callable[[str], bool],
    ) -> None:
        """Count the errors of one batch. Of a column of another type only that, since its values say no more."""
        counted = [self._add_one(each, frame, schema, rows_before, is_sound) for each in errors]
        if not any(counted):
            raise Unexpected(_NOT_UNDERSTOOD)

    def results(self, schema: pa.DataFrameSchema) -> Iterator[Result]:
        """Every promise about rows that was judged, in the contract's order."""
        counts = self._broken.copy()
        for column, count in self._unreadable.items():
            counts[column, REQUIRED] -= count  # an unreadable value is there, and is counted already
        for column, rule in _promises(schema, counts):
            count = max(counts[column, rule], 0)
            if rule == LOGICAL_TYPE and (column, rule) in counts:
                count = max(count, 1)  # a wrong type is wrong even where there are no rows
            if count or column not in self.unjudged:
                named = [] if column in self._unreadable or not count else self._rows.get((column, rule), [])
                yield Result(column, rule, count, holds=count == 0, rows=tuple(named))

    def _add_one(
        self,
        error: SchemaError,
        frame: pl.DataFrame,
        schema: pa.DataFrameSchema,
        rows_before: int,
        is_sound: Callable[[str], bool],
    ) -> bool:
        reason, column = error.reason_code, str(error.schema.name)
        if reason == SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
            self._broken[str(error.failure_cases), MISSING] = 1
            self.unjudged.update(_places(schema, str(error.failure_cases)))
        elif reason == SchemaErrorReason.COLUMN_NOT_IN_SCHEMA:
            self._broken[WHOLE_TABLE, NOT_AGREED] = len(set(frame.columns) - set(self._compiled.columns))
        elif reason == SchemaErrorReason.WRONG_DATATYPE:
            self.unjudged.update(_places(schema, column))
            self._add_types(column, frame, rows_before)
        elif not is_sound(column):
            return False
        elif reason == SchemaErrorReason.SERIES_CONTAINS_NULLS:
            self._add_false((column, REQUIRED), error, rows_before)
        elif reason == SchemaErrorReason.DATAFRAME_CHECK and isinstance(error.check, pa.Check):
            self._add_false((str(error.check.title), str(error.check.name)), error, rows_before)
        else:
            raise Unexpected(_NOT_UNDERSTOOD)
        return True

    def _add_types(self, column: str, frame: pl.DataFrame, rows_before: int) -> None:
        """Count a column of another type; of an array or object, where in it the type differs."""
        for place, rule in self._compiled.misfits(column, frame.schema[column]) or [(column, LOGICAL_TYPE)]:
            if rule == LOGICAL_TYPE:
                self._broken[place, rule] += frame.height
                self._name((place, rule), range(min(frame.height, ROWS_NAMED)), rows_before)
            else:
                self._broken[place, rule] = 1

    def _add_false(self, promise: Promise, error: SchemaError, rows_before: int) -> None:
        output = error.check_output
        if not isinstance(output, pl.DataFrame):
            raise Unexpected(_NOT_UNDERSTOOD)
        broken = ~output.to_series()
        self._broken[promise] += int(broken.sum())
        self._name(promise, broken.arg_true().head(ROWS_NAMED).to_list(), rows_before)

    def _name(self, promise: Promise, rows: Sequence[int], rows_before: int) -> None:
        named = self._rows.setdefault(promise, [])
        named += [rows_before + row + 1 for row in rows[: ROWS_NAMED - len(named)]]


def _promises(schema: pa.DataFrameSchema, counts: Counter[Promise]) -> Iterator[Promise]:
    """Every promise about rows, in the contract's order; that a column is there only where it is not."""
    promises = [(WHOLE_TABLE, NOT_AGREED)]
    for name, column in schema.columns.items():
        own = [MISSING] if (name, MISSING) in counts else []
        own += [LOGICAL_TYPE, *([] if column.nullable else [REQUIRED])]
        promises += [(name, rule) for rule in own]
        promises += [(str(check.title), str(check.name)) for check in column.checks]
    inside = [each for each in counts if counts[each] > 0 or each[1] == LOGICAL_TYPE]  # types of nested values
    yield from dict.fromkeys([*promises, *inside])


def _places(schema: pa.DataFrameSchema, column: str) -> set[str]:
    """The column and what stands in it, as far as it is judged."""
    return {column, *(str(check.title) for check in schema.columns[column].checks)}
