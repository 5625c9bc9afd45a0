"""What may happen to an agreement, and when it is in force. No I/O.

::

    offered ──assent──> agreed ──activate──> active ──> ended
       └──> withdrawn      └──────> revoked <───┴─────────┘

One that ended can still be revoked: what was delivered under it is there until its own end.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from core.errors import AgreementExpired, AgreementNotYetValid, AgreementRevoked, AgreementStateError
from schemas.agreement import Agreement


class AgreementState(StrEnum):
    OFFERED = "offered"
    WITHDRAWN = "withdrawn"
    AGREED = "agreed"
    ACTIVE = "active"
    ENDED = "ended"
    REVOKED = "revoked"


_ALLOWED: dict[AgreementState, frozenset[AgreementState]] = {
    AgreementState.OFFERED: frozenset({AgreementState.AGREED, AgreementState.WITHDRAWN}),
    AgreementState.WITHDRAWN: frozenset(),
    AgreementState.AGREED: frozenset({AgreementState.ACTIVE, AgreementState.REVOKED}),
    AgreementState.ACTIVE: frozenset({AgreementState.ENDED, AgreementState.REVOKED}),
    AgreementState.ENDED: frozenset({AgreementState.REVOKED}),
    AgreementState.REVOKED: frozenset(),
}

_TOWARDS_ACTIVE = {
    AgreementState.OFFERED: "the recipient signs it, then run gla agreement accept",
    AgreementState.AGREED: "run gla agreement activate",
    **dict.fromkeys((AgreementState.WITHDRAWN, AgreementState.ENDED), "offer a new agreement"),
}


def check_transition(agreement_id: str, current: AgreementState, wanted: AgreementState) -> None:
    """Raise `AgreementStateError` unless `current` may become `wanted`."""
    if wanted not in _ALLOWED[current]:
        allowed = ", ".join(sorted(_ALLOWED[current])) or "nothing: make a new agreement"
        raise AgreementStateError(f"agreement {agreement_id} is {current} and can become {allowed}; not {wanted}")


def check_in_force(agreement: Agreement, state: AgreementState, today: date) -> None:
    """Raise the error that says why `agreement` decides nothing today; return when it does."""
    if state is AgreementState.REVOKED:
        raise AgreementRevoked(f"agreement {agreement.id} is revoked: nothing may be delivered under it")
    if state is not AgreementState.ACTIVE:
        raise AgreementStateError(f"agreement {agreement.id} is {state}, not active: {_TOWARDS_ACTIVE[state]}")
    if today < agreement.valid_from:
        raise AgreementNotYetValid(f"agreement {agreement.id} is valid from {agreement.valid_from}: wait until then")
    if today > agreement.valid_until:
        raise AgreementExpired(f"agreement {agreement.id} ended on {agreement.valid_until}: offer a new agreement")
