"""The rules of a delivery's life."""

from __future__ import annotations

import itertools

import pytest

from core.errors import DeliveryStateError
from ledger.states import DELIVERED, DONE, STOPPED, UNFINISHED, State, can_follow, check_transition, restart_state

PAIRS = list(itertools.product(State, State))


@pytest.mark.parametrize(("state", "target"), PAIRS)
def test_a_step_is_either_allowed_or_refused_by_name(state: State, target: State) -> None:
    if can_follow(state, target):
        check_transition(state, target)
    else:
        with pytest.raises(DeliveryStateError, match=f"{state} cannot become {target}"):
            check_transition(state, target)


def test_the_main_path_is_allowed() -> None:
    path = [State.PLANNED, State.EXTRACTING, State.SEALED, State.PUBLISHING, State.PUBLISHED]
    path += [State.PICKED_UP, State.CONFIRMED, State.EXPIRED]
    for state, target in itertools.pairwise(path):
        check_transition(state, target)


@pytest.mark.parametrize("state", State)
def test_nothing_is_published_except_while_publishing(state: State) -> None:
    assert can_follow(state, State.PUBLISHED) == (state is State.PUBLISHING)


@pytest.mark.parametrize("state", State)
def test_publishing_begins_only_from_recorded_bytes(state: State) -> None:
    assert can_follow(state, State.PUBLISHING) == (state is State.SEALED)


def test_a_superseded_delivery_stays_so() -> None:
    assert not any(can_follow(State.SUPERSEDED, target) for target in State)


def test_a_delivered_one_is_never_extracted_again_or_undone() -> None:
    undone = UNFINISHED - {State.SEALED} | STOPPED
    assert not any(can_follow(state, target) for state in DELIVERED for target in undone)


def test_every_state_is_of_one_kind() -> None:
    assert set(State) == UNFINISHED | STOPPED | DONE | {State.SUPERSEDED}
    assert len(State) == len(UNFINISHED) + len(STOPPED) + len(DONE) + 1
    assert DELIVERED | {State.SKIPPED} == DONE


@pytest.mark.parametrize("state", State)
def test_only_what_was_extracted_in_this_run_is_skipped(state: State) -> None:
    assert can_follow(state, State.SKIPPED) == (state is State.EXTRACTING)


@pytest.mark.parametrize("target", State)
def test_a_skipped_one_stays_so_until_another_edition_takes_its_place(target: State) -> None:
    assert can_follow(State.SKIPPED, target) == (target is State.SUPERSEDED)


@pytest.mark.parametrize("state", [State.PLANNED, State.EXTRACTING, *sorted(STOPPED)])
def test_without_recorded_bytes_a_restart_begins_with_extraction(state: State) -> None:
    assert restart_state(state, has_sealed_bytes=False) is State.PLANNED
    assert state is State.PLANNED or can_follow(state, State.PLANNED)


@pytest.mark.parametrize("state", [State.SEALED, State.PUBLISHING, *sorted(STOPPED)])
def test_with_recorded_bytes_a_restart_begins_with_publication(state: State) -> None:
    assert restart_state(state, has_sealed_bytes=True) is State.SEALED
    assert state is State.SEALED or can_follow(state, State.SEALED)


@pytest.mark.parametrize("state", [*sorted(DONE), State.SUPERSEDED])
def test_a_claim_leaves_a_finished_one_as_it_is(state: State) -> None:
    assert restart_state(state, has_sealed_bytes=True) is state
