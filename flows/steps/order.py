"""What is asked of a run (an order) and what came of it (an outcome). Ids and a reason only: never data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from core.errors import UnusableInput
from core.period import Period


class Mode(StrEnum):
    """How a delivery that may already exist is run again (the words operators use)."""

    RESUME = "resume"  # go on from the last recorded step; a finished delivery is a no-op that says so
    REDELIVER = "redeliver"  # publish the same bytes again, of the newest edition that was published
    CORRECT = "correct"  # extract again, as the next edition, which supersedes this one


@dataclass(frozen=True)
class Order:
    """One request to deliver `period` under an agreement, by a named person or schedule.

    `full` asks of a mutation delivery the whole state, as new, and not what changed.
    """

    agreement_id: str
    period: Period
    requested_by: str
    mode: Mode = Mode.RESUME
    reason: str = ""
    full: bool = False

    def __post_init__(self) -> None:
        if self.mode is not Mode.RESUME and not self.reason.strip():
            raise UnusableInput(f"mode {self.mode} needs a reason: it is shown in the history")
        if self.full and (self.mode is Mode.REDELIVER or not self.reason.strip()):
            raise UnusableInput("the whole state is extracted, with mode resume or correct, and needs a reason")
        if not self.requested_by.strip():
            raise UnusableInput("a delivery needs the name of whoever asks for it (requested by)")

    @property
    def name(self) -> str:
        return f"{self.agreement_id}/{self.period}"

    def require_before(self, last: date) -> None:
        """`UnusableInput` for a period that begins after the last day of the agreement.

        Its dates say when may be delivered, and a period what is delivered: one of before the agreement is as good as
        any. But of one that begins after it nothing can be known on any day that it allows.
        """
        if self.period.start > last:
            raise UnusableInput(
                f"{self.name}: the agreement ends on {last}, before the period begins: name another one"
            )

    def early(self, today: date) -> str | None:
        """What whoever asks should know when the period is not over yet, since the source may still grow."""
        if today > self.period.last_day:
            return None
        return (
            f"{self.name}: the period is not over; what the source gets until {self.period.last_day} needs mode correct"
        )


@dataclass(frozen=True)
class Outcome:
    """The delivery as it stands after a run. `done_before` says that there was nothing left to do, `same_as` names the
    edition before it if that had the same plaintext. `skipped`: there were no rows, so that nothing is published.
    """

    delivery_id: str
    agreement_id: str
    period: str
    edition: int
    rows: int
    size: int
    done_before: bool
    same_as: int | None = None
    skipped: bool = False

    @property
    def result(self) -> str:
        """What became of it, in words."""
        if self.skipped:
            return "was skipped before, nothing to do" if self.done_before else "no rows, so skipped as agreed"
        return "was delivered before, nothing to do" if self.done_before else "delivered"


def delivery_folder(agreement_id: str, period: str, edition: int) -> str:
    """Where a delivery stands below the recipient's own folder; names only, see `core.ids`."""
    return f"{agreement_id}/{period}/edition-{edition}"
