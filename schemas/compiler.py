"""Compile a contract's table into something that can judge data: a strict pandera schema, metrics and unique keys.

Every promise of the table is either enforced or refused here with `UnusableInput`; none is skipped. Uniqueness and
quality metrics concern the whole delivery and not one batch, so they stand beside the pandera schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pandera.polars as pa
import polars as pl
from pandera.constants import CHECK_OUTPUT_KEY

from core.errors import UnusableInput
from core.period import Period
from schemas.checks import RowCheck, all_as_one, column_checks
from schemas.codelists import check_code_list
from schemas.logical_types import accepts, canonical_dtype, check_options, misfits
from schemas.quality import EXACTLY_NONE, Metric, UniqueKey, quality_rules
from schemas.relationships import Reference, references
from schemas.rules import Row, TotalRule, needs_period, totals
from schemas.table import Table

_NO_PERIOD = Period(date(1, 1, 1), date(1, 1, 1))  # nothing lies in it, so that a missing period lets nothing pass


@dataclass(frozen=True)
class CompiledTable:
    """`dtypes` are what columns become when read from text; `schema` is compiled for exactly those types.

    A check of `schema` judges rows: its `title` is the column as a verdict calls it (`adres.postcode`, `telefoons[]`),
    its `name` the rule. Unique keys, metrics, references and totals concern the whole delivery. If `needs_period`, use
    `schema_for` with a period: nothing passes `within-period` without one.
    """

    table: Table
    dtypes: Mapping[str, pl.DataType]
    schema: pa.DataFrameSchema
    unique_keys: tuple[UniqueKey, ...]
    metrics: tuple[Metric, ...]
    references: tuple[Reference, ...] = ()
    totals: tuple[TotalRule, ...] = ()
    needs_period: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The delivered names, in the contract's order."""
        return tuple(self.dtypes)

    def schema_for(self, stored: Mapping[str, pl.DataType], period: Period | None = None) -> pa.DataFrameSchema:
        """The schema for the types in which a source stores the columns; the others keep the compiled type.

        `UnusableInput` if a rule needs a period and there is none.
        """
        self.require_period(period)
        return _schema(self.table, {**self.dtypes, **stored}, period or _NO_PERIOD)

    def fast_schema_for(self, stored: Mapping[str, pl.DataType], period: Period | None = None) -> pa.DataFrameSchema:
        """Like `schema_for`, for batches of exactly these types: it passes and fails the same batches, in one query
        for all promises about rows, but does not tell which promise fails.
        """
        self.require_period(period)
        return _fast_schema(self.table, {**self.dtypes, **stored}, period or _NO_PERIOD)

    def metrics_for(self, stored: Mapping[str, pl.DataType]) -> tuple[Metric, ...]:
        """The metrics, in the same order, for the types in which a source stores the columns."""
        return quality_rules(self.table, {**self.dtypes, **stored})[0]

    def require_period(self, period: Period | None) -> None:
        """Raise `UnusableInput` if a rule needs a period and there is none."""
        if self.needs_period and period is None:
            raise UnusableInput(f"the table {self.table.name} has a rule within-period: give the period (--period)")

    def accepted(self, stored: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
        """The columns whose stored type is right: another width is fine, another kind of value is not."""
        present = [column for column in self.table.columns if column.name in stored]
        return {column.name: stored[column.name] for column in present if accepts(column, stored[column.name])}

    def misfits(self, column: str, stored: pl.DataType) -> list[tuple[str, str]]:
        """Where in a column the stored type is not the agreed one, and the rule that this breaks; none if it fits."""
        return next(list(misfits(each, stored)) for each in self.table.columns if each.name == column)


def compile_table(table: Table) -> CompiledTable:
    """Compile every promise of `table`, or raise `UnusableInput` that names the column and what is not supported."""
    for column in (each for top in table.columns for each in top.walk()):
        check_options(column)
        check_code_list(column)
    canonical = {column.name: canonical_dtype(column) for column in table.columns}
    if CHECK_OUTPUT_KEY in canonical:  # pandera puts its own beside it, and then tells no failure
        raise UnusableInput(f"column {CHECK_OUTPUT_KEY} has a name that validation needs: give it another")
    metrics, duplicates = quality_rules(table, canonical)
    compiled = CompiledTable(
        table=table,
        dtypes=canonical,
        schema=_schema(table, canonical, _NO_PERIOD),
        unique_keys=_declared_keys(table) + duplicates,
        metrics=metrics,
        references=references(table),
        totals=totals(table.columns),
        needs_period=any(needs_period(column) for column in table.columns),
    )
    _try_on_no_rows(compiled)
    return compiled


def _schema(table: Table, dtypes: Mapping[str, pl.DataType], period: Period) -> pa.DataFrameSchema:
    checks = _row_checks(table, dtypes, period)
    columns = {
        column.name: pa.Column(
            dtypes[column.name], [each.as_check() for each in checks[column.name]], nullable=not column.required
        )
        for column in table.columns
    }
    return pa.DataFrameSchema(columns, strict=True, coerce=False)


def _fast_schema(table: Table, dtypes: Mapping[str, pl.DataType], period: Period) -> pa.DataFrameSchema:
    columns = {column.name: pa.Column(dtypes[column.name], nullable=not column.required) for column in table.columns}
    checks = [each for own in _row_checks(table, dtypes, period).values() for each in own]
    return pa.DataFrameSchema(columns, [all_as_one(checks)] if checks else None, strict=True, coerce=False)


def _row_checks(table: Table, dtypes: Mapping[str, pl.DataType], period: Period) -> dict[str, list[RowCheck]]:
    row = Row({column.name: column for column in table.columns}, dtypes, period)
    return {column.name: column_checks(column, dtypes[column.name], row) for column in table.columns}


def _declared_keys(table: Table) -> tuple[UniqueKey, ...]:
    keys = [UniqueKey((column.name,), "unique", EXACTLY_NONE) for column in table.columns if column.unique]
    if table.primary_key:
        keys.append(UniqueKey(table.primary_key, "primaryKey", EXACTLY_NONE))
    return tuple(keys)


def _try_on_no_rows(compiled: CompiledTable) -> None:
    """Run everything on a frame without rows, so that a rule that Polars cannot run is found before any data is."""
    empty = pl.DataFrame(schema=dict(compiled.dtypes))
    try:
        _fast_schema(compiled.table, compiled.dtypes, _NO_PERIOD).validate(empty, lazy=True)
        empty.select(
            each.counted.alias(str(at)) for at, each in enumerate(compiled.metrics) if each.counted is not None
        )
        return
    except (pa.errors.SchemaErrors, pl.exceptions.PolarsError, pl.exceptions.PanicException):
        pass
    raise UnusableInput(f"the table {compiled.table.name} has a rule that cannot be run on its type")
