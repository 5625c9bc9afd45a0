"""A plan as a SELECT for a database: identifiers quoted, every literal a parameter, no text of an agreement in the SQL.

What differs between databases is a `Dialect`. A row whose condition is null is left out, as everywhere.

>>> print(quoted('say "hi" twice'))
"say ""hi"" twice"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from core.errors import UnusableInput
from flows.sources.plan import ExtractionPlan
from schemas.filter_terms import Term

_SIGNS = {
    "equals": "=",
    "notEquals": "<>",
    "lessThan": "<",
    "lessOrEqualTo": "<=",
    "greaterThan": ">",
    "greaterOrEqualTo": ">=",
}


class Dialect(Protocol):
    """How one database writes the parts of a SELECT."""

    def read(self, column: str) -> str:
        """The column as it is selected, such that nothing is lost on the way."""
        ...

    def compared(self, column: str) -> str:
        """The column as it is compared: text by code point, numbers and moments by value."""
        ...

    def value(self, dtype: pl.DataType, parameter: int) -> str:
        """Parameter number `parameter` (from 0) as one value of `dtype`."""
        ...

    def one_of(self, dtype: pl.DataType, parameter: int) -> str:
        """Parameter number `parameter` as what may stand after IN: a parenthesised query or list."""
        ...

    def bound(self, values: tuple[Any, ...], *, many: bool) -> Any:
        """What is bound for a term's values."""
        ...


@dataclass(frozen=True)
class Select:
    """`names` are the delivered names by position; the columns themselves are called c0, c1, ..."""

    text: str
    parameters: tuple[Any, ...]


def quoted(identifier: str) -> str:
    """An identifier in SQL's quotes; one with a NUL is `UnusableInput`."""
    if "\0" in identifier:
        raise UnusableInput("a name with a NUL is no name of a table or column")
    return '"' + identifier.replace('"', '""') + '"'


def select(
    dialect: Dialect, table: str, plan: ExtractionPlan, types: Mapping[str, pl.DataType], *, sorted_by_all: bool
) -> Select:
    """Select the plan's columns and rows from `table`, which is quoted already.

    Columns come as c0, c1, ... since two of them may have one name. `sorted_by_all` is for what has no order of its
    own: rows that are alike in every selected column are the same in any order.
    """
    terms = plan.source_filter.terms(plan.period, types)
    conditions: list[str] = []
    parameters: list[Any] = []
    for each in terms:
        conditions.append(_condition(dialect, each, len(parameters)))
        if each.values:
            parameters.append(dialect.bound(_checked(each), many=each.operator == "in"))
    read = ", ".join(f"{dialect.read(each.source_name)} AS c{at}" for at, each in enumerate(plan.columns))
    text = f"SELECT {read} FROM {table}"  # noqa: S608 - of quoted identifiers and fixed words
    if conditions:
        text += f" WHERE {' AND '.join(conditions)}"
    if sorted_by_all:
        order = dict.fromkeys(dialect.compared(each.source_name) for each in plan.columns)
        text += f" ORDER BY {', '.join(order)}"
    return Select(text, tuple(parameters))


def _condition(dialect: Dialect, term: Term, parameter: int) -> str:
    match term.operator:
        case "isNull":
            return f"{quoted(term.column)} IS NULL"
        case "isNotNull":
            return f"{quoted(term.column)} IS NOT NULL"
        case "never":
            return "1 = 0"
        case "in":
            return f"{dialect.compared(term.column)} IN {dialect.one_of(term.dtype, parameter)}"
    return f"{dialect.compared(term.column)} {_SIGNS[term.operator]} {dialect.value(term.dtype, parameter)}"


def _checked(term: Term) -> tuple[Any, ...]:
    if any(isinstance(each, str) and "\0" in each for each in term.values):
        raise UnusableInput(f"the filter on {term.column} has a text with a NUL, which no database compares")
    return term.values
