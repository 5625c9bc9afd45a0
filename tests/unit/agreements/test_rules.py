"""The life of an agreement: every step that is allowed, every step that is not, and on which days it is in force."""

from __future__ import annotations

import itertools
from datetime import date

import pytest

from agreements.rules import AgreementState, check_in_force, check_transition
from core.errors import AgreementExpired, AgreementNotYetValid, AgreementRevoked, AgreementStateError

S = AgreementState
ALLOWED = {
    (S.OFFERED, S.AGREED),
    (S.OFFERED, S.WITHDRAWN),
    (S.AGREED, S.ACTIVE),
    (S.AGREED, S.REVOKED),
    (S.ACTIVE, S.ENDED),
    (S.ACTIVE, S.REVOKED),
    (S.ENDED, S.REVOKED),
}
FORBIDDEN = sorted(set(itertools.product(S, S)) - ALLOWED)
IN_FORCE = date(2026, 6, 1)


@pytest.mark.parametrize(("current", "wanted"), sorted(ALLOWED))
def test_allowed_steps(current, wanted):
    check_transition("GLA-1", current, wanted)


@pytest.mark.parametrize(("current", "wanted"), FORBIDDEN)
def test_every_other_step_is_refused_and_says_what_is_possible(current, wanted):
    possible = [after for before, after in sorted(ALLOWED) if before is current]
    with pytest.raises(AgreementStateError) as caught:
        check_transition("GLA-1", current, wanted)
    assert f"agreement GLA-1 is {current} and can become {', '.join(possible) or 'nothing'}" in str(caught.value)


def test_nothing_leads_back_from_an_end():
    ends = {state for state in S if not any(before is state for before, _ in ALLOWED)}
    assert ends == {S.WITHDRAWN, S.REVOKED}


@pytest.mark.parametrize("day", [date(2026, 1, 1), IN_FORCE, date(2026, 12, 31)])
def test_first_and_last_day_belong_to_it(agreement, day):
    check_in_force(agreement(), S.ACTIVE, day)


@pytest.mark.parametrize(
    ("day", "error"), [(date(2025, 12, 31), AgreementNotYetValid), (date(2027, 1, 1), AgreementExpired)]
)
def test_the_days_around_it_do_not(agreement, day, error):
    with pytest.raises(error):
        check_in_force(agreement(), S.ACTIVE, day)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        (S.OFFERED, "gla agreement accept"),
        (S.AGREED, "gla agreement activate"),
        (S.WITHDRAWN, "offer a new agreement"),
        (S.ENDED, "offer a new agreement"),
    ],
)
def test_only_an_active_agreement_is_in_force_and_the_error_names_a_step_that_is_possible(agreement, state, step):
    with pytest.raises(AgreementStateError, match=step):
        check_in_force(agreement(), state, IN_FORCE)


@pytest.mark.parametrize("day", [date(2025, 1, 1), IN_FORCE, date(2028, 1, 1)])
def test_revoked_says_so_on_any_day(agreement, day):
    with pytest.raises(AgreementRevoked):
        check_in_force(agreement(), S.REVOKED, day)
