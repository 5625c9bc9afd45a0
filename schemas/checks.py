"""The promises about the rows of one column as pandera checks, for the type in which the column is actually stored.

A check judges one row: its `title` is the place as a verdict calls it (`bsn`, `adres.postcode`, `telefoons[]`), its
`name` the ODCS word or rule. Of an array all items must obey; that it is broken counts once for each row. Null passes
every check but `required`; what stands in something that is null is not required. No failing value is kept
(`n_failure_cases=0`).

The same promises can also be one check, of a whole table, that runs them as one query: it says quickly that all rows
obey, and not what is wrong where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandera.polars as pa
import polars as pl
from pandera.api.polars.types import PolarsData

from schemas.conditions import conditions
from schemas.exact import Condition
from schemas.logical_types import instance
from schemas.rules import Row, Rule, column_rules
from schemas.table import Column

_SAMPLE = 4_096  # values of a column
_Lift = Callable[[Condition], Condition]  # from a condition on an inner value to one on the whole column


@dataclass(frozen=True)
class _Place:
    """Something in a column, or the column itself: what it is, how it is stored, and the way to it."""

    column: Column
    dtype: pl.DataType
    lift: _Lift
    needed: Condition | None = None  # whether it is there, on the whole column; pandera itself looks after the column


@dataclass(frozen=True)
class RowCheck:
    """A promise about every row of a column: `title` is its place as a verdict calls it."""

    column: str
    title: str
    rule: Rule
    dtypes: Mapping[str, pl.DataType]

    def as_check(self) -> pa.Check:
        """For one pandera column, in a batch whose other columns may have wrong types."""

        def run(data: PolarsData) -> pl.LazyFrame:  # not a method: pandera copies those with all that they belong to
            if self.rule.others:
                stored = data.lazyframe.collect_schema()
                if any(stored.get(each) != self.dtypes[each] for each in self.rule.others):
                    return data.lazyframe.select(pl.lit(value=True))  # that column fails for itself
            return data.lazyframe.select(self.condition)

        return pa.Check(run, name=self.rule.name, title=self.title, n_failure_cases=0)

    @property
    def condition(self) -> pl.Expr:
        """Whether a row obeys; null, as always, does."""
        return self.rule.condition(pl.col(self.column))


def column_checks(column: Column, dtype: pl.DataType, row: Row) -> list[RowCheck]:
    """Every check of one column that is stored as `dtype`, beside the other columns in `row`."""
    places = _places(_Place(column, dtype, lambda whole: whole))
    return [RowCheck(column.name, title, rule, row.dtypes) for place in places for title, rule in _rules(place, row)]


def all_as_one(checks: Sequence[RowCheck]) -> pa.Check:
    """One check for a whole table, whose columns must all have the compiled types: each row obeys each of `checks`.

    Of a text column that repeats itself only the different texts are judged, each once, which is what takes the time.
    """
    query = [(each, each.condition.all().alias(str(at))) for at, each in enumerate(checks)]
    texts = {each.column for each in checks if each.dtypes[each.column] == pl.String and not each.rule.others}

    def run(data: PolarsData) -> pl.LazyFrame:
        frame = data.lazyframe.collect()  # it was eager
        repeated = {name for name in texts if _repeats_itself(frame[name])}
        parts = [frame.lazy().select(pl.col(name).unique()).select(_of(query, name)) for name in repeated]
        rest = [test for each, test in query if each.rule.others or each.column not in repeated]
        return pl.concat([*parts, frame.lazy().select(rest)] if rest else parts, how="horizontal")

    return pa.Check(run, name="all promises about rows", n_failure_cases=0)


def _of(query: Sequence[tuple[RowCheck, pl.Expr]], column: str) -> list[pl.Expr]:
    """The promises about one column alone."""
    return [test for each, test in query if each.column == column and not each.rule.others]


def _repeats_itself(values: pl.Series) -> bool:
    """Whether at most half of a sample are different; a guess, on which only speed depends."""
    return len(values) >= _SAMPLE and values.gather_every(len(values) // _SAMPLE).n_unique() <= _SAMPLE // 2


def _rules(place: _Place, row: Row) -> Iterator[tuple[str, Rule]]:
    column = place.column
    if place.needed is not None:
        yield column.name, Rule("required", place.needed)
    for name, condition in conditions(column, place.dtype):
        yield column.name, Rule(name, place.lift(condition))
    for rule in column_rules(column, place.dtype, row):
        yield column.name, Rule(rule.name, place.lift(rule.condition), rule.others)


def _places(place: _Place) -> Iterator[_Place]:
    """The place and every place inside it, in the contract's order."""
    yield place
    if isinstance(place.dtype, pl.List) and place.column.items is not None:
        yield from _places(_items(place, place.column.items, place.dtype))
    if isinstance(place.dtype, pl.Struct):
        stored = {field.name: instance(field.dtype) for field in place.dtype.fields}
        for name in place.column.properties:
            yield from _places(_property(place, name, stored[name]))


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
