"""Receipts, cases and expiry in the ledger, on every database: each once, and the chain whole."""

from __future__ import annotations

from datetime import timedelta
from json import loads
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from core.clock import to_rfc3339
from core.database import reading
from core.errors import DestinationUnreachable, UnusableInput
from core.period import Period
from ledger import events, expiry
from ledger.deliveries import Delivery, FileReading, Pickup
from ledger.history import history
from ledger.receipts import Receipt, Signed, cases, close_case, record_receipt, signed_receipts
from ledger.removal import remove_bodies
from ledger.states import REVOKED, State
from ledger.store import Ledger
from ledger.tree import Tree
from ledger.verify import verify
from ledger.vocabulary import Action, Result
from tests.ledger_world import AGREEMENT, JANUARY, Clock, claim, deliver, extract, new_ledger, publish, seal

SIGNED = Signed("text", "signature", "SHA256:x")
FEBRUARY = Period.parse("2026-02")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(engine: Engine, clock: Clock) -> Ledger:
    return new_ledger(engine, clock)


def delivery(ledger: Ledger, edition: int = 1) -> Delivery:
    found = ledger.get(AGREEMENT, JANUARY, edition)
    assert found is not None
    return found


def receipt(ledger: Ledger, reason: str | None = None, **changes: Any) -> Receipt:
    values: dict[str, Any] = {
        "delivery_id": delivery(ledger).id,
        "reason": reason,
        "signed": None,
        "actor": "gemeente-voorbeeld",
        "detail": {"address": "192.0.2.1"},
    }
    return Receipt(**values | changes)


def told(ledger: Ledger, action: Action) -> list[dict[str, Any]]:
    events = ledger.events_of(delivery(ledger).id)
    return [loads(event.body.detail) for event in events if event.body.action == action]


def again(ledger: Ledger) -> None:
    """The same bytes are published once more."""
    held = claim(ledger)
    ledger.release(publish(ledger, ledger.advance(held, State.SEALED, Action.DELIVERY_REOPENED)))


def test_a_receipt_confirms_a_delivery_once(ledger: Ledger) -> None:
    deliver(ledger)
    assert record_receipt(ledger, receipt(ledger))
    assert not record_receipt(ledger, receipt(ledger))
    assert delivery(ledger).state is State.CONFIRMED
    [detail] = told(ledger, Action.DELIVERY_CONFIRMED)
    assert (detail["recipient"], detail["address"], detail["signer"]) == ("gemeente-voorbeeld", "192.0.2.1", None)
    assert verify(ledger.engine, []).deliveries == 1


def test_a_signature_that_comes_later_is_told_too(ledger: Ledger) -> None:
    deliver(ledger)
    record_receipt(ledger, receipt(ledger))
    assert [row.signed for row in history(ledger.engine)] == [False]
    assert record_receipt(ledger, receipt(ledger, signed=SIGNED))
    assert [row.signed for row in history(ledger.engine)] == [True]
    assert signed_receipts(ledger, delivery(ledger).id) == [(None, SIGNED)]
    assert verify(ledger.engine, []).deliveries == 1


def test_after_a_new_publication_the_same_receipt_counts_again(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    record_receipt(ledger, receipt(ledger))
    clock.advance(hours=1)
    again(ledger)
    assert delivery(ledger).state is State.PUBLISHED
    assert record_receipt(ledger, receipt(ledger))
    assert delivery(ledger).state is State.CONFIRMED


def test_a_receipt_for_what_was_superseded_or_expired_is_told_and_changes_no_state(ledger: Ledger) -> None:
    deliver(ledger)
    deliver(ledger, edition=2)
    assert record_receipt(ledger, receipt(ledger))
    assert delivery(ledger).state is State.SUPERSEDED
    assert verify(ledger.engine, []).deliveries == 2


def test_no_receipt_for_what_never_appeared(ledger: Ledger) -> None:
    seal(ledger, extract(ledger, claim(ledger)))
    with pytest.raises(UnusableInput, match="not published"):
        record_receipt(ledger, receipt(ledger))


def test_a_worker_that_holds_the_delivery_goes_on_after_a_receipt(ledger: Ledger) -> None:
    deliver(ledger)
    held = claim(ledger)
    record_receipt(ledger, receipt(ledger))
    assert ledger.advance(held, State.SEALED, Action.DELIVERY_REOPENED).state is State.SEALED


def test_a_negative_receipt_opens_a_case_that_an_operator_closes(ledger: Ledger) -> None:
    deliver(ledger)
    assert record_receipt(ledger, receipt(ledger, "damaged", signed=SIGNED))
    [case] = cases(ledger.engine)
    assert (case.reason, case.delivery, case.closed) == ("damaged", f"{AGREEMENT}/2026-01/1", None)
    assert [row.case for row in history(ledger.engine)] == ["damaged"]
    assert delivery(ledger).state is State.PUBLISHED
    closed = close_case(ledger, case.number, "delivered again", "operator")
    assert (closed.outcome, closed.closed_by) == ("delivered again", "operator")
    assert cases(ledger.engine) == [closed]
    assert [row.case for row in history(ledger.engine)] == [None]
    with pytest.raises(UnusableInput, match="no open case"):
        close_case(ledger, case.number, "again", "operator")
    assert verify(ledger.engine, []).deliveries == 1


def test_what_opened_after_a_moment_is_found_without_the_cases_before_it(ledger: Ledger) -> None:
    deliver(ledger)
    record_receipt(ledger, receipt(ledger, "damaged"))
    [first] = cases(ledger.engine)
    with reading(ledger.engine) as connection:
        before = Tree(connection).size()
    close_case(ledger, first.number, "delivered again", "operator")
    record_receipt(ledger, receipt(ledger, "content"))
    assert [case.reason for case in cases(ledger.engine, after=before)] == ["content"]


def test_to_close_a_case_reads_the_cases_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver(ledger)
    record_receipt(ledger, receipt(ledger, "damaged"))
    [case] = cases(ledger.engine)
    asked: list[tuple[Action, ...]] = []
    of_actions = events.of_actions

    def counted(connection: Connection, *actions: Action, after: int = 0) -> list[events.Event]:
        asked.append(actions)
        return of_actions(connection, *actions, after=after)

    monkeypatch.setattr(events, "of_actions", counted)
    close_case(ledger, case.number, "delivered again", "operator")
    assert len(asked) == 1


def test_a_case_goes_with_the_details_of_its_delivery(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    record_receipt(ledger, receipt(ledger, "damaged"))
    close_case(ledger, cases(ledger.engine)[0].number, "delivered again", "operator")
    clock.advance(days=400)
    remove_bodies(ledger, to_rfc3339(clock()))
    assert cases(ledger.engine) == []
    assert [row.case for row in history(ledger.engine)] == [None]
    assert verify(ledger.engine, []).deliveries == 1


def test_under_a_revoked_agreement_everything_is_over(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    deliver(ledger, edition=2)
    deliver(ledger, agreement_id="gla-2026-002")
    now = to_rfc3339(clock())
    due = expiry.expired(ledger.engine, now, {AGREEMENT, "gla-none"})
    assert {(each.agreement_id, each.edition) for each in due} == {(AGREEMENT, 1), (AGREEMENT, 2)}
    for each in due:
        first = expiry.begin(ledger, each.id, REVOKED)
        begun = expiry.begin(ledger, each.id, REVOKED)  # after a crash
        assert begun == first
        assert begun is not None
        expiry.removed(ledger, begun, {})
    assert expiry.expired(ledger.engine, now, [AGREEMENT]) == []
    told = {row.edition: (row.state, row.reason) for row in history(ledger.engine) if row.agreement == AGREEMENT}
    assert told == {1: (State.SUPERSEDED, None), 2: (State.EXPIRED, REVOKED)}
    assert verify(ledger.engine, []).deliveries == 3


def test_a_case_is_not_closed_without_a_word(ledger: Ledger) -> None:
    deliver(ledger)
    record_receipt(ledger, receipt(ledger, "content"))
    with pytest.raises(UnusableInput, match="what was done"):
        close_case(ledger, cases(ledger.engine)[0].number, " ", "operator")
    with pytest.raises(UnusableInput, match="no open case"):
        close_case(ledger, 1, "not a case", "operator")


def test_what_is_over_is_due_until_it_is_gone(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    assert expiry.expired(ledger.engine, to_rfc3339(clock())) == []
    clock.advance(days=30)
    [due] = expiry.expired(ledger.engine, to_rfc3339(clock()))
    begun = expiry.begin(ledger, due.id)
    assert begun is not None
    assert begun.state is State.EXPIRED
    assert [each.id for each in expiry.expired(ledger.engine, to_rfc3339(clock()))] == [due.id]
    assert expiry.begin(ledger, due.id) == begun, "after a crash it begins again"
    expiry.removed(ledger, begun, {"files": 4})
    assert expiry.expired(ledger.engine, to_rfc3339(clock())) == []
    results = [(event.body.action, event.body.result) for event in ledger.events_of(due.id)][-2:]
    assert results == [(Action.DELIVERY_EXPIRED, Result.INTENDED), (Action.DELIVERY_REMOVED, Result.OK)]
    assert [row.removed for row in history(ledger.engine)] == [to_rfc3339(clock())]
    assert verify(ledger.engine, []).deliveries == 1


def test_an_edition_that_was_superseded_is_removed_too_and_keeps_its_state(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    deliver(ledger, edition=2)
    clock.advance(days=31)
    due = expiry.expired(ledger.engine, to_rfc3339(clock()))
    assert len(due) == 2
    begun = [expiry.begin(ledger, each.id) for each in due]
    assert {each.state for each in begun if each} == {State.SUPERSEDED, State.EXPIRED}
    assert verify(ledger.engine, []).deliveries == 2


def test_what_a_worker_holds_is_left_for_the_next_time(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    clock.advance(days=31)
    held = claim(ledger)
    assert expiry.begin(ledger, held.id) is None
    assert delivery(ledger).state is State.PUBLISHED


def test_why_it_is_not_gone_is_told_once_a_day(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    clock.advance(days=31)
    error = DestinationUnreachable("host:22 cannot be reached: run again")
    for _ in range(3):
        expiry.not_removed(ledger, delivery(ledger), error)
    assert len(told(ledger, Action.DELIVERY_REMOVED)) == 1
    clock.advance(days=1)
    expiry.not_removed(ledger, delivery(ledger), error)
    assert len(told(ledger, Action.DELIVERY_REMOVED)) == 2
    assert [row.removed for row in history(ledger.engine)] == [None]


def test_only_what_nobody_fetched_is_reminded_of(ledger: Ledger, clock: Clock) -> None:
    for period in (JANUARY, FEBRUARY):
        deliver(ledger, period)
    record_receipt(ledger, receipt(ledger))
    now, until = to_rfc3339(clock()), to_rfc3339(clock() + timedelta(days=30))
    [waiting] = expiry.unclaimed(ledger.engine, now, until)
    assert waiting.period == "2026-02"
    assert expiry.unclaimed(ledger.engine, now, now) == []
    assert expiry.remind(ledger, waiting, 7)
    assert not expiry.remind(ledger, waiting, 7)
    assert expiry.remind(ledger, waiting, 1)


def test_history_tells_how_much_was_fetched_in_part(ledger: Ledger, clock: Clock) -> None:
    deliver(ledger)
    for number, span in enumerate([(0, 6), (4, 8)]):
        read = FileReading(10, (span,), closed=False, ended=to_rfc3339(clock()))
        pickup = Pickup(AGREEMENT, JANUARY, 1, "gemeente-voorbeeld", "a", read, frozenset("a"), str(number), {})
        ledger.record_pickups([pickup])
    assert [row.partly for row in history(ledger.engine)] == [8]
