"""The promises about the rows of one column as pandera checks, for the type in which the column is actually stored.

A check judges one row: its `title` is the place as a verdict calls it (`bsn`, `adres.postcode`, `telefoons[]`), its
`name` the ODCS word or rule. Of an array all items must obey; that it is broken counts once for each row. Null passes
every check but `required`; what stands in something that is null is not required. No failing value is kept
(`n_failure_cases=0`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from schemas.conditions import conditions
from schemas.logical_types import instance
from schemas.rules import Condition, Row, Rule, column_rules
from schemas.table import Column

_Lift = Callable[[Condition], Condition]  # from a condition on an inner value to one on the whole column


@dataclass(frozen=True)
class _Place:
    """Something in a column, or the column itself: what it is, how it is stored, and the way to it."""

    column: Column
    dtype: pl.DataType
    lift: _Lift
    needed: Condition | None = None  # whether it is there, on the whole column; pandera itself looks after the column


def column_checks(column: Column, dtype: pl.DataType, row: Row) -> list[pa.Check]:
    """Every check of one column that is stored as `dtype`, beside the other columns in `row`."""
    return [check for place in _places(_Place(column, dtype, lambda whole: whole)) for check in _checks(place, row)]


def _checks(place: _Place, row: Row) -> Iterator[pa.Check]:
    column = place.column
    if place.needed is not None:
        yield _check(column.name, Rule("required", place.needed), row)
    for name, condition in conditions(column, place.dtype):
        yield _check(column.name, Rule(name, place.lift(condition)), row)
    for rule in column_rules(column, place.dtype, row):
        yield _check(column.name, Rule(rule.name, place.lift(rule.condition), rule.others), row)


def _check(title: str, rule: Rule, row: Row) -> pa.Check:
    def run(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(rule.condition(pl.col(data.key or "")))

    def run_beside_others(data: PolarsData) -> pl.LazyFrame:
        stored = data.lazyframe.collect_schema()
        comparable = all(stored.get(each) == row.dtypes[each] for each in rule.others)  # else that column fails itself
        return run(data) if comparable else data.lazyframe.select(pl.lit(value=True))

    return pa.Check(run_beside_others if rule.others else run, name=rule.name, title=title, n_failure_cases=0)


def _places(place: _Place) -> Iterator[_Place]:
    """The place and every place inside it, in the contract's order."""
    yield place
    if isinstance(place.dtype, pl.List) and place.column.items is not None:
        yield from _places(_items(place, place.column.items, place.dtype))
    if isinstance(place.dtype, pl.Struct):
        for field in place.dtype.fields:
            yield from _places(_property(place, field.name, instance(field.dtype)))


def _items(array: _Place, items: Column, dtype: pl.List) -> _Place:
    def lift(condition: Condition) -> Condition:
        return array.lift(lambda value: value.list.eval(condition(pl.element())).list.all())

    needed = lift(lambda item: item.is_not_null()) if items.required else None
    return _Place(items, instance(dtype.inner), lift, needed)


def _property(outer: _Place, name: str, dtype: pl.DataType) -> _Place:
    def lift(condition: Condition) -> Condition:
        return outer.lift(lambda value: condition(value.struct.field(name)))

    column = outer.column.properties[name]
    required = column.required or name in outer.column.options.get("required", ())
    needed = outer.lift(lambda value: value.is_null() | value.struct.field(name).is_not_null()) if required else None
    return _Place(column, dtype, lift, needed)
