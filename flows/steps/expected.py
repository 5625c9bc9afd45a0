"""How far a delivery is, and when it should be done: guessed from the delivery before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flows.steps.order import Order
from flows.wiring import Services
from ledger.history import Choice, history


def expected_rows(services: Services, order: Order) -> int | None:
    """The rows of the newest delivery under the agreement; None if there is none, or it was empty."""
    choice = Choice(agreement=order.agreement_id)
    return next((row.rows for row in history(services.engine, choice) if row.rows), None)


@dataclass(frozen=True)
class Pace:
    """`rows` of perhaps `expected` after a while; `began` and `now` say how long a while."""

    rows: int
    expected: int | None
    began: datetime
    now: datetime

    @property
    def percent(self) -> float | None:
        """At most 99, since what is expected is a guess."""
        return None if self.expected is None else min(99.0, 100 * self.rows / self.expected)

    @property
    def end(self) -> datetime | None:
        """When all rows should be sealed."""
        if self.expected is None or not 0 < self.rows < self.expected:
            return None
        return self.now + (self.now - self.began) * (self.expected - self.rows) / self.rows

    def __str__(self) -> str:
        told = f"{self.rows:,} rows"
        end = self.end
        return told if end is None else f"{told}, expected end {end:%H:%M:%S} UTC"
