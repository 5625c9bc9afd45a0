"""The outcome of a validation: what became of every promise of the contract. It never holds a value of the data.

`column` is a name from the contract, several joined by "," for a composite key, or "*" for the whole table. Names of
columns that the contract does not know are not repeated: in a file without a header line they are data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from core.errors import ColumnNotAgreed, RowsInvalid

NOT_AGREED = "columnNotAgreed"
MISSING = "columnMissing"
ROWS_NAMED = 10  # of each promise that is broken: enough to find the cause in the source
_SHOWN = 5  # failures in an error message; the whole verdict has them all
Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, order=True)
class Failure:
    column: str
    rule: str
    count: int


@dataclass(frozen=True)
class Result:
    """One promise of the contract, judged on the whole delivery.

    `count` says how often it was broken (of rowCount: the number of rows), `threshold` how often it may be (None:
    never). `rows` are the numbers, from 1 and in the order of the delivery, of the first rows that broke it; a rule
    about the delivery as a whole, such as a unique key, names none.
    """

    column: str
    rule: str
    count: int
    severity: Severity = "error"
    threshold: str | None = None
    holds: bool = True
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sum:
    """The exact sum of a column of integers, and how many of its values are not zero."""

    total: int
    nonzero: int


@dataclass(frozen=True)
class Verdict:
    """`results` has every promise that was judged, in the contract's order, also those that hold.

    Of a column that is missing or has another type only that is told: its other promises were not judged. `present`
    counts per column the values that are not null; `sums` are the tellingen that were asked for.
    """

    rows: int
    results: tuple[Result, ...]
    present: Mapping[str, int] = field(default_factory=dict)
    sums: Mapping[str, Sum] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        return not self.failures

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The broken promises that make the delivery invalid."""
        return self._broken(is_error=True)

    @property
    def warnings(self) -> tuple[Failure, ...]:
        """The broken quality rules with a severity below error."""
        return self._broken(is_error=False)

    def as_json(self) -> dict[str, Any]:
        """Exactly {"valid", "rows", "failures": [{"column", "rule", "count"}]}."""
        failures = [{"column": each.column, "rule": each.rule, "count": each.count} for each in self.failures]
        return {"valid": self.valid, "rows": self.rows, "failures": failures}

    def require_valid(self) -> None:
        """Raise `ColumnNotAgreed` or `RowsInvalid` with the first failures, if there are any."""
        if self.valid:
            return
        failures = self.failures
        if any(each.rule == NOT_AGREED for each in failures):
            raise ColumnNotAgreed("the data has columns that were not agreed")
        shown = ", ".join(f"{each.column} {each.rule} ({each.count}x)" for each in failures[:_SHOWN])
        more = f" and {len(failures) - _SHOWN} more" if len(failures) > _SHOWN else ""
        raise RowsInvalid(f"the data breaks the contract in {self.rows} rows: {shown}{more}")

    def _broken(self, *, is_error: bool) -> tuple[Failure, ...]:
        broken = [each for each in self.results if not each.holds and (each.severity == "error") is is_error]
        return tuple(sorted(Failure(each.column, each.rule, each.count) for each in broken))
