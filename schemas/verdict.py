"""The outcome of a validation: which column broke which rule how often. It never holds a value or a row.

`column` is a name from the contract, several joined by "," for a composite key, or "*" for the whole table. Names of
columns that the contract does not know are not repeated: in a file without a header line they are data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import ColumnNotAgreed, RowsInvalid

NOT_AGREED = "columnNotAgreed"
MISSING = "columnMissing"
_SHOWN = 5  # failures in an error message; the whole verdict has them all


@dataclass(frozen=True, order=True)
class Failure:
    column: str
    rule: str
    count: int


@dataclass(frozen=True)
class Verdict:
    """`warnings` are quality rules with a severity below error: they do not make a delivery invalid."""

    rows: int
    failures: tuple[Failure, ...]
    warnings: tuple[Failure, ...] = ()

    @property
    def valid(self) -> bool:
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """Exactly {"valid", "rows", "failures": [{"column", "rule", "count"}]}."""
        failures = [{"column": each.column, "rule": each.rule, "count": each.count} for each in self.failures]
        return {"valid": self.valid, "rows": self.rows, "failures": failures}

    def require_valid(self) -> None:
        """Raise `ColumnNotAgreed` or `RowsInvalid` with the first failures, if there are any."""
        if self.valid:
            return
        if any(each.rule == NOT_AGREED for each in self.failures):
            raise ColumnNotAgreed("the data has columns that were not agreed")
        shown = ", ".join(f"{each.column} {each.rule} ({each.count}x)" for each in self.failures[:_SHOWN])
        more = f" and {len(self.failures) - _SHOWN} more" if len(self.failures) > _SHOWN else ""
        raise RowsInvalid(f"the data breaks the contract in {self.rows} rows: {shown}{more}")
