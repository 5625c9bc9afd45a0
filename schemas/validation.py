"""Judge a stream of batches against a compiled table, with counts only.

pandera judges each eager batch (a lazy frame would pass unchecked). A batch of the right types is first judged with all
promises about rows in one query; only if that fails, promise by promise, to tell which. What concerns the whole
delivery (keys, metrics, references, totals) is kept up beside it, see `schemas.whole`.

No failing value is kept, shown, logged or chained: pandera's errors hold rows, so they end here. Each validator first
proves on known-bad frames that validation is really on; pandera can be switched off by an environment variable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaError

from core.errors import GlaError, Unexpected
from core.period import Period
from schemas.compiler import CompiledTable, compile_table
from schemas.logical_types import LOGICAL_TYPE
from schemas.quality import WHOLE_TABLE
from schemas.scratch import Scratch
from schemas.table import Column, Table
from schemas.tally import Tally
from schemas.verdict import NOT_AGREED, Verdict
from schemas.whole import WholeDelivery

_BROKE_DOWN = "validation of a batch broke down, so the batch counts as not validated"
T = TypeVar("T")


class Validator:
    """Feed every batch to `check`, then ask `finish` for the verdict on all of them.

    `period` is the delivery's, for rules that compare with it. `scratch` takes what does not fit in memory; without it
    memory grows with the rows. `sums` names integer columns whose sums the verdict has.
    """

    def __init__(
        self,
        compiled: CompiledTable,
        period: Period | None = None,
        scratch: Scratch | None = None,
        sums: Sequence[str] = (),
    ) -> None:
        prove_it_fails()
        self._start(compiled, period, scratch, sums)

    def _start(
        self,
        compiled: CompiledTable,
        period: Period | None = None,
        scratch: Scratch | None = None,
        sums: Sequence[str] = (),
    ) -> None:
        compiled.require_period(period)
        self._compiled, self._period, self._scratch, self._asked_sums = compiled, period, scratch, tuple(sums)
        self._tally = Tally(compiled)
        self._bound = False
        self._bind({})

    def _bind(self, schema: dict[str, pl.DataType]) -> None:
        """Decide by the types of the first batch how all are judged."""
        self._stored = self._compiled.accepted(schema)  # the types that are right
        self._schema = self._compiled.schema_for(self._stored, self._period)
        self._fast = self._compiled.fast_schema_for(self._stored, self._period)
        self._whole = WholeDelivery(self._compiled, self._stored, self._scratch, self._asked_sums)

    @property
    def columns(self) -> tuple[str, ...]:
        """The delivered names, in the contract's order."""
        return self._compiled.columns

    def check(self, frame: pl.DataFrame) -> bool:
        """Judge one batch; every batch must have the types of the first. Raises nothing about the data.

        True if no row of this batch failed; what concerns the whole delivery is judged by `finish` only.
        """
        if not self._bound:
            self._bind(dict(frame.schema))
            self._bound = True
        rows_before, sound = self._whole.rows, {name for name in self._stored if self._is_sound(frame, name)}
        errors = _guarded(lambda: self._errors(frame))
        _guarded(lambda: self._whole.add(frame, sound.__contains__))
        if errors:
            _guarded(lambda: self._tally.add(errors, frame, self._schema, rows_before, sound.__contains__))
        return not errors

    def unreadable(self, column: str, count: int) -> None:
        """Report values that a text source could not read as the column's type; `check` sees them as null."""
        self._tally.add_unreadable(column, count)

    def finish(self) -> Verdict:
        """The verdict on all batches so far."""
        return _guarded(self._verdict)

    def _verdict(self) -> Verdict:
        tally, whole = self._tally, self._whole
        results = (*tally.results(self._schema), *whole.results(tally.unjudged, set(tally.unreadable)))
        present = {name: count + tally.unreadable.get(name, 0) for name, count in whole.present.items()}
        return Verdict(whole.rows, results, MappingProxyType(present), MappingProxyType(dict(whole.sums)))

    def _errors(self, frame: pl.DataFrame) -> list[SchemaError]:
        """What pandera finds in a batch: nothing if it obeys. All types are known to be right where `_fast` is used."""
        if dict(frame.schema) == {name: self._stored.get(name) for name in self.columns}:
            if not _found(self._fast, frame):
                return []
            return _found(self._schema, frame) or _disagree()
        return _found(self._schema, frame)

    def _is_sound(self, frame: pl.DataFrame, column: str) -> bool:
        """Whether the batch has the column with the type of the stream; if not, that is counted as a failure."""
        return column in self._stored and frame.schema.get(column) == self._stored[column]


def _found(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> list[SchemaError]:
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        return list(error.schema_errors)
    return []


def _disagree() -> list[SchemaError]:
    raise Unexpected("a batch fails as a whole and in no promise: it counts as not validated")


def _guarded(judge: Callable[[], T]) -> T:
    """Whatever pandera or Polars raises may hold rows: nothing of it is kept."""
    try:
        return judge()
    except GlaError as error:
        ours = error
    except (Exception, pl.exceptions.PanicException):  # noqa: BLE001
        ours = Unexpected(_BROKE_DOWN)
    raise ours


_CANARY = Table(
    "canary",
    (
        Column("n", "n", "integer", {"minimum": 1}, required=True),
        Column("t", "t", "string", {"pattern": "^[a-z]$"}, unique=True),
    ),
)


@functools.cache
def _compiled_canary() -> CompiledTable:
    return compile_table(_CANARY)


def prove_it_fails() -> None:
    """Judge frames that break every kind of promise, on each way through, and raise `Unexpected` unless all is found.

    Each frame of right types breaks one promise, so that the quick way must find it by itself.
    """
    right: list[dict[str, Any]] = [
        {"n": [1, 2], "t": ["a", None]},
        {"n": [1, 0], "t": ["b", "c"]},
        {"n": [None, 1], "t": ["d", "e"]},
    ]
    right += [{"n": [1, 2], "t": ["f", "F"]}, {"n": [1], "t": ["a"]}]
    _prove(
        right,
        [True, False, False, False, True],
        {("n", "minimum", 1), ("n", "required", 1), ("t", "pattern", 1), ("t", "unique", 1)},
    )
    wrong: list[dict[str, Any]] = [{"n": [0, None, 1], "t": [1, 2, 3], "extra": [0, 0, 0]}]
    _prove(
        wrong,
        [False],
        {("n", "minimum", 1), ("n", "required", 1), ("t", LOGICAL_TYPE, 3), (WHOLE_TABLE, NOT_AGREED, 1)},
    )


def _prove(frames: list[dict[str, Any]], passes: list[bool], known: set[tuple[str, str, int]]) -> None:
    validator = Validator.__new__(Validator)
    validator._start(_compiled_canary())  # noqa: SLF001 - without the proof itself
    passed = [validator.check(pl.DataFrame(frame)) for frame in frames]
    found = {(each.column, each.rule, each.count) for each in validator.finish().failures}
    if passed != passes or found != known:
        raise Unexpected("validation does not find known errors: it may be switched off (PANDERA_VALIDATION_ENABLED)")
