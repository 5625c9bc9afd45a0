"""The life of a delivery: which state can follow which. No I/O; the ledger asks here before it writes.

>>> check_transition(State.SEALED, State.PUBLISHING)
>>> restart_state(State.PUBLISHING, has_sealed_bytes=True)
<State.SEALED: 'sealed'>
"""

from __future__ import annotations

from enum import StrEnum

from core.errors import DeliveryStateError


class State(StrEnum):
    PLANNED = "planned"
    EXTRACTING = "extracting"  # intent: rows are being read, checked and sealed into staging
    SEALED = "sealed"  # the staged bytes are recorded; from here on only these bytes are published
    PUBLISHING = "publishing"  # intent: the bytes are on their way to the recipient's side
    PUBLISHED = "published"
    PICKED_UP = "picked_up"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    SKIPPED = "skipped"  # done: there were no rows, and the agreement says that nothing is published then


UNFINISHED = frozenset({State.PLANNED, State.EXTRACTING, State.SEALED, State.PUBLISHING})
STOPPED = frozenset({State.REFUSED, State.FAILED, State.CANCELLED})
DELIVERED = frozenset({State.PUBLISHED, State.PICKED_UP, State.CONFIRMED, State.EXPIRED})
DONE = DELIVERED | {State.SKIPPED}  # nothing is left to do, unless somebody asks for it with a reason
REVOKED = "the agreement was revoked"  # the reason of one that was removed before its end
NO_ROWS = "no rows in this period: nothing is published, as agreed (gla.empty: skip)"  # the reason of a skipped one

_TRANSITIONS: dict[State, frozenset[State]] = {
    State.PLANNED: STOPPED | {State.EXTRACTING},
    # back to planned: the worker died while it extracted, and nothing that it staged counts
    State.EXTRACTING: STOPPED | {State.PLANNED, State.SEALED, State.SKIPPED},
    # superseded: it was being published again, that worker died, and the correction came
    State.SEALED: STOPPED | {State.PUBLISHING, State.SUPERSEDED},
    # back to sealed: the worker died while it published; the next one publishes the same bytes
    State.PUBLISHING: STOPPED | {State.SEALED, State.PUBLISHED, State.SUPERSEDED},
    # back to sealed from a delivered state: the same bytes are published again
    State.PUBLISHED: frozenset({State.PICKED_UP, State.CONFIRMED, State.EXPIRED, State.SEALED, State.SUPERSEDED}),
    State.PICKED_UP: frozenset({State.CONFIRMED, State.EXPIRED, State.SEALED, State.SUPERSEDED}),
    State.CONFIRMED: frozenset({State.EXPIRED, State.SEALED, State.SUPERSEDED}),
    State.EXPIRED: frozenset({State.SEALED, State.SUPERSEDED}),
    State.REFUSED: frozenset({State.PLANNED, State.SEALED, State.SUPERSEDED}),
    State.FAILED: frozenset({State.PLANNED, State.SEALED, State.SUPERSEDED}),
    State.CANCELLED: frozenset({State.PLANNED, State.SEALED, State.SUPERSEDED}),
    State.SUPERSEDED: frozenset(),
    State.SKIPPED: frozenset({State.SUPERSEDED}),
}


def can_follow(state: State, target: State) -> bool:
    return target in _TRANSITIONS[state]


def check_transition(state: State, target: State) -> None:
    """Raise `DeliveryStateError` unless `target` may follow `state`."""
    if not can_follow(state, target):
        raise DeliveryStateError(f"a delivery that is {state} cannot become {target}")


def restart_state(state: State, *, has_sealed_bytes: bool) -> State:
    """Where a worker that claims a delivery begins: planned or sealed; a done or superseded one stays as it is."""
    if state not in UNFINISHED | STOPPED:
        return state
    return State.SEALED if has_sealed_bytes else State.PLANNED
