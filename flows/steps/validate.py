"""Step 3: every batch, and the whole, must obey the agreement. What is told holds counts, never values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from core.errors import ColumnNotAgreed, DeliveryEmpty, DeliveryStateError, RowsInvalid
from schemas.agreement import Agreement
from schemas.validation import Validator
from schemas.verdict import Verdict

_SHOWN = 5  # failures named in the error; the report has them all


class NothingToDeliver(Exception):
    """There is no row, and the agreement says that nothing is published then. Never leaves `flows.steps.path`."""


class Checked:
    """The batches that hold, once through; after the last one `verdict` tells of every row.

    After a first failure no batch is passed on, but all rows are still judged, so that one report tells everything that
    must be mended. `tell` gets the verdict as soon as it is known, also where the delivery is then refused. `replaces`:
    the recipient has rows that this delivery takes the place of, so that it is delivered also without any.
    """

    def __init__(
        self,
        frames: Iterator[pl.DataFrame],
        validator: Validator,
        agreement: Agreement,
        tell: Callable[[Verdict], None],
        *,
        replaces: bool = False,
    ) -> None:
        self._frames, self._validator, self._agreement, self._tell = frames, validator, agreement, tell
        self._replaces = replaces
        self._verdict: Verdict | None = None

    @property
    def verdict(self) -> Verdict:
        if self._verdict is None:
            raise DeliveryStateError(f"agreement {self._agreement.id}: the data was not judged to its end")
        return self._verdict

    def __iter__(self) -> Iterator[pl.DataFrame]:
        agreed = set(self._validator.columns)
        passing = True
        for frame in self._frames:
            extra = set(frame.columns) - agreed
            if extra:
                raise ColumnNotAgreed(
                    f"agreement {self._agreement.id}: the source gave {len(extra)} column(s) not agreed"
                )
            passing = self._validator.check(frame) and passing
            if passing:
                yield frame
        self._verdict = self._validator.finish()
        self._tell(self._verdict)
        self._require_good(self._verdict)

    def _require_good(self, verdict: Verdict) -> None:
        agreement = self._agreement
        if not verdict.valid:
            raise RowsInvalid(f"agreement {agreement.id}: {_summary(verdict)}: mend the source and resume")
        if verdict.rows == 0 and agreement.on_empty == "refuse":
            raise DeliveryEmpty(
                f"agreement {agreement.id}: no row for this period, and gla.empty is refuse: "
                "check source and gla.filter"
            )
        if verdict.rows == 0 and agreement.on_empty == "skip" and not self._replaces:
            raise NothingToDeliver


def _summary(verdict: Verdict) -> str:
    shown = [f"{failure.column}: {failure.rule} ({failure.count})" for failure in verdict.failures[:_SHOWN]]
    more = len(verdict.failures) - _SHOWN
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
