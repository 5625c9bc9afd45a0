"""Step 3: every batch, and the whole, must obey the agreement. The report holds counts, never values."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from core.errors import ColumnNotAgreed, DeliveryEmpty, RowsInvalid
from schemas.agreement import Agreement
from schemas.validation import Validator
from schemas.verdict import Verdict

_SHOWN = 5  # failures named in the error; the ledger has them all


def validate(frames: Iterator[pl.DataFrame], validator: Validator, agreement: Agreement) -> Iterator[pl.DataFrame]:
    """Pass on the batches that hold; at the end raise when anything did not. After a first failure nothing is passed
    on, but all rows are still counted, so that one report tells everything that must be mended.
    """
    agreed = set(validator.columns)
    passing = True
    for frame in frames:
        extra = set(frame.columns) - agreed
        if extra:
            raise ColumnNotAgreed(f"agreement {agreement.id}: the source gave {len(extra)} column(s) not agreed")
        passing = validator.check(frame) and passing
        if passing:
            yield frame
    verdict = validator.finish()
    if not verdict.valid:
        raise RowsInvalid(f"agreement {agreement.id}: {_summary(verdict)}: mend the source and resume")
    if verdict.rows == 0 and agreement.on_empty == "refuse":
        raise DeliveryEmpty(
            f"agreement {agreement.id}: no row for this period, and gla.empty is refuse: check source and gla.filter"
        )


def _summary(verdict: Verdict) -> str:
    shown = [f"{failure.column}: {failure.rule} ({failure.count})" for failure in verdict.failures[:_SHOWN]]
    more = len(verdict.failures) - _SHOWN
    return "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
