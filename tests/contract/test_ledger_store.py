"""The ledger on SQLite and on PostgreSQL: one worker per delivery, each step with its event, nothing lost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sqlalchemy import Engine, delete, text, update
from sqlalchemy.exc import DBAPIError

from core.database import open_engine, reading, writing
from core.errors import DeliveryBusy, DeliveryStateError, LedgerUnavailable, Unexpected, UnusableInput
from core.period import Period
from ledger import events
from ledger.deliveries import Claim, FileReading, Pickup
from ledger.events import Event
from ledger.states import State
from ledger.store import Ledger
from ledger.tables import deliveries as deliveries_table
from ledger.tables import events as events_table
from ledger.verify import verify
from ledger.vocabulary import Action, Result
from tests.ledger_world import (
    AGREEMENT,
    JANUARY,
    LEASE_SECONDS,
    SEALED,
    Clock,
    claim,
    deliver,
    extract,
    new_ledger,
    publish,
    seal,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(engine: Engine, clock: Clock) -> Ledger:
    return new_ledger(engine, clock)


def recorded(ledger: Ledger) -> list[Event]:
    with reading(ledger.engine) as connection:
        return list(events.in_order(connection))


def actions(ledger: Ledger) -> list[str]:
    return [event.body.action for event in recorded(ledger)]


def state(ledger: Ledger, edition: int = 1) -> State:
    delivery = ledger.get(AGREEMENT, JANUARY, edition)
    assert delivery is not None
    return delivery.state


def pickup(file: str, *, whole: bool = True, once: str = "reading-1", **changes: object) -> Pickup:
    reading = FileReading(10, ((0, 10 if whole else 9),), closed=True, ended="2026-02-01T06:00:00.000Z")
    fields = {"agreement_id": AGREEMENT, "period": JANUARY, "edition": 1, "recipient": "gemeente-voorbeeld"}
    fields |= {"files": frozenset({"a", "b"}), "detail": {"bytes": 10}, "reading": reading} | changes
    return Pickup(file=file, once=once, **fields)


class TestAPeriodWithoutRows:
    def skip(self, ledger: Ledger, **changes: object) -> None:
        held = extract(ledger, claim(ledger, **changes))
        skipped = ledger.advance(held, State.SKIPPED, Action.DELIVERY_SKIPPED, {"reason": "no rows"}, rows=0, bytes=0)
        ledger.release(skipped)

    def test_it_is_recorded_as_done(self, ledger: Ledger) -> None:
        self.skip(ledger, reason="as agreed")
        kept = ledger.get(AGREEMENT, JANUARY, 1)
        assert kept is not None
        assert (kept.state, kept.rows, kept.bytes, kept.sealed, kept.published_at) == (State.SKIPPED, 0, 0, None, None)
        assert (kept.reason, kept.error, kept.worker) == ("as agreed", None, None)
        assert recorded(ledger)[-1].body.result == Result.OK
        assert verify(ledger.engine, []).events == 3

    def test_a_later_claim_finds_it_done_and_records_nothing(self, ledger: Ledger) -> None:
        self.skip(ledger)
        again = claim(ledger, worker="worker-2")
        assert again.state is State.SKIPPED
        assert len(actions(ledger)) == 3

    def test_nothing_can_be_sealed_published_or_failed_any_more(self, ledger: Ledger) -> None:
        self.skip(ledger)
        held = claim(ledger, worker="worker-2")
        for target in (State.EXTRACTING, State.SEALED, State.PUBLISHING, State.PUBLISHED):
            with pytest.raises(DeliveryStateError):
                ledger.advance(held, target, Action.DELIVERY_SEALED, sealed=SEALED)
        ledger.fail(held, "StorageFull", "no space for a checkpoint", refused=False)
        assert state(ledger) is State.SKIPPED

    def test_a_next_edition_takes_its_place_and_replaces_no_data(self, ledger: Ledger) -> None:
        self.skip(ledger)
        held = claim(ledger, edition=2)
        assert held.delivery.supersedes is None  # the recipient has nothing of it
        publish(ledger, seal(ledger, extract(ledger, held)))
        assert (state(ledger, 1), state(ledger, 2)) == (State.SUPERSEDED, State.PUBLISHED)
        verify(ledger.engine, [])


class TestOneDelivery:
    def test_a_finding_is_recorded_and_changes_nothing_else(self, ledger: Ledger) -> None:
        held = extract(ledger, claim(ledger))
        ledger.note(held, Action.DELIVERY_VALIDATED, Result.OK, {"report": {"rows": 1}})
        assert actions(ledger)[-1] == Action.DELIVERY_VALIDATED
        assert json.loads(recorded(ledger)[-1].body.detail)["report"] == {"rows": 1}
        assert state(ledger) is State.EXTRACTING
        publish(ledger, seal(ledger, held))
        assert verify(ledger.engine, []).events == 6

    def test_a_worker_that_lost_the_delivery_records_no_finding(self, ledger: Ledger, clock: Clock) -> None:
        held = extract(ledger, claim(ledger))
        clock.advance(seconds=LEASE_SECONDS + 1)
        claim(ledger, worker="worker-2")
        with pytest.raises(DeliveryBusy):
            ledger.note(held, Action.DELIVERY_VALIDATED, Result.OK, {})
        assert Action.DELIVERY_VALIDATED not in actions(ledger)

    def test_from_claim_to_publication_each_step_is_recorded(self, ledger: Ledger) -> None:
        deliver(ledger)
        assert actions(ledger) == [
            Action.DELIVERY_PLANNED,
            Action.DELIVERY_EXTRACTING,
            Action.DELIVERY_SEALED,
            Action.DELIVERY_PUBLISHING,
            Action.DELIVERY_PUBLISHED,
        ]
        results = [event.body.result for event in recorded(ledger)]
        assert results == [Result.OK, Result.INTENDED, Result.OK, Result.INTENDED, Result.OK]

    def test_an_event_holds_the_six_fields_of_bio2(self, ledger: Ledger) -> None:
        deliver(ledger)
        body = recorded(ledger)[0].body
        six = (body.action, body.object, body.result, body.origin, body.actor, body.at)
        name = f"delivery:{AGREEMENT}/2026-01/1"
        assert six == ("delivery.planned", name, "ok", "test", "operator", "2026-02-01T06:00:00.000Z")

    def test_what_was_measured_is_kept(self, ledger: Ledger) -> None:
        deliver(ledger)
        kept = ledger.get(AGREEMENT, JANUARY, 1)
        assert kept is not None
        assert (kept.rows, kept.bytes, kept.published_at) == (200, 4096, "2026-02-01T06:00:00.000Z")
        assert kept.expires_at == "2026-03-03T06:00:00.000Z"

    def test_an_illegal_step_is_refused_and_leaves_no_trace(self, ledger: Ledger) -> None:
        held = claim(ledger)
        with pytest.raises(DeliveryStateError):
            ledger.advance(held, State.PUBLISHED, Action.DELIVERY_PUBLISHED)
        assert state(ledger) == State.PLANNED
        assert actions(ledger) == [Action.DELIVERY_PLANNED]

    def test_sealed_without_a_record_of_the_bytes_is_refused(self, ledger: Ledger) -> None:
        held = extract(ledger, claim(ledger))
        with pytest.raises(DeliveryStateError):
            ledger.advance(held, State.SEALED, Action.DELIVERY_SEALED)

    def test_a_refusal_says_why_and_frees_the_delivery(self, ledger: Ledger) -> None:
        ledger.fail(extract(ledger, claim(ledger)), "RowsInvalid", "3 rows break the agreed schema", refused=True)
        kept = ledger.get(AGREEMENT, JANUARY, 1)
        assert kept is not None
        assert (kept.state, kept.error) == (State.REFUSED, "RowsInvalid: 3 rows break the agreed schema")
        assert recorded(ledger)[-1].body.result == Result.REFUSED
        assert claim(ledger, worker="worker-2").state == State.PLANNED

    def test_a_failure_after_publication_is_recorded_but_undoes_nothing(self, ledger: Ledger) -> None:
        held = publish(ledger, seal(ledger, extract(ledger, claim(ledger))))
        ledger.fail(held, "StorageFull", "no space for a checkpoint", refused=False)
        assert state(ledger) == State.PUBLISHED
        assert actions(ledger)[-1] == Action.DELIVERY_FAILED

    def test_a_deliverys_own_events_can_be_read(self, ledger: Ledger) -> None:
        first = deliver(ledger)
        deliver(ledger, Period.parse("2026-02"))
        assert len(ledger.events_of(first.id)) == 5


class TestLease:
    def test_a_held_delivery_is_busy_and_the_second_trigger_is_recorded(self, ledger: Ledger) -> None:
        claim(ledger)
        with pytest.raises(DeliveryBusy):
            claim(ledger, worker="worker-2", actor="scheduler")
        last = recorded(ledger)[-1].body
        assert (last.action, last.result, last.actor) == (Action.DELIVERY_BUSY, Result.REFUSED, "scheduler")

    def test_a_dead_workers_delivery_is_taken_over_when_its_lease_ends(self, ledger: Ledger, clock: Clock) -> None:
        extract(ledger, claim(ledger))
        clock.advance(seconds=LEASE_SECONDS + 1)
        taken = claim(ledger, worker="worker-2")
        assert (taken.state, taken.token) == (State.PLANNED, 2)
        assert actions(ledger)[-1] == Action.DELIVERY_TAKEN_OVER

    def test_a_heartbeat_keeps_the_lease(self, ledger: Ledger, clock: Clock) -> None:
        held = claim(ledger)
        for _ in range(3):
            clock.advance(seconds=LEASE_SECONDS - 1)
            ledger.heartbeat(held)
        with pytest.raises(DeliveryBusy):
            claim(ledger, worker="worker-2")

    def test_a_stale_worker_can_do_nothing(self, ledger: Ledger, clock: Clock) -> None:
        stale = extract(ledger, claim(ledger))
        clock.advance(seconds=LEASE_SECONDS + 1)
        claim(ledger, worker="worker-2")
        before = recorded(ledger)
        for attempt in (
            lambda: seal(ledger, stale),
            lambda: ledger.heartbeat(stale),
            lambda: ledger.fail(stale, "Unexpected", "too late", refused=False),
        ):
            with pytest.raises(DeliveryBusy):
                attempt()
        ledger.release(stale)
        assert recorded(ledger) == before
        with pytest.raises(DeliveryBusy):
            claim(ledger, worker="worker-3")

    def test_a_slow_worker_goes_on_when_nobody_took_over(self, ledger: Ledger, clock: Clock) -> None:
        held = extract(ledger, claim(ledger))
        clock.advance(seconds=10 * LEASE_SECONDS)
        assert seal(ledger, held).state == State.SEALED

    def test_a_released_delivery_is_worked_on_no_more(self, ledger: Ledger) -> None:
        held = claim(ledger)
        ledger.release(held)
        with pytest.raises(DeliveryBusy):
            extract(ledger, held)

    def test_a_released_delivery_is_free(self, ledger: Ledger) -> None:
        ledger.release(claim(ledger))
        claim(ledger, worker="worker-2")
        assert actions(ledger)[-1] == Action.DELIVERY_RESUMED

    def test_a_clock_that_jumps_back_does_not_break_the_chain(self, ledger: Ledger, clock: Clock) -> None:
        held = extract(ledger, claim(ledger))
        clock.advance(days=-1)
        publish(ledger, seal(ledger, held))
        assert verify(ledger.engine, []).events == 5


def stopped_correction(ledger: Ledger, edition: int = 2, *, refused: bool = True) -> None:
    ledger.fail(claim(ledger, edition=edition, reason="wrong"), "RowsInvalid", "no", refused=refused)


def reopened(ledger: Ledger) -> Claim:
    return ledger.advance(claim(ledger, reason="lost"), State.SEALED, Action.DELIVERY_REOPENED)


class TestResume:
    def test_sealed_bytes_are_published_as_they_were(self, ledger: Ledger, clock: Clock) -> None:
        held = seal(ledger, extract(ledger, claim(ledger)))
        ledger.advance(held, State.PUBLISHING, Action.DELIVERY_PUBLISHING)
        clock.advance(seconds=LEASE_SECONDS + 1)
        taken = claim(ledger, worker="worker-2")
        assert (taken.state, taken.sealed) == (State.SEALED, SEALED)

    def test_other_bytes_for_a_sealed_edition_are_refused(self, ledger: Ledger) -> None:
        held = publish(ledger, seal(ledger, extract(ledger, claim(ledger))))
        with pytest.raises(DeliveryStateError):
            ledger.advance(held, State.SEALED, Action.DELIVERY_REOPENED, sealed='{"files": []}')

    def test_after_a_refusal_before_sealing_all_begins_again(self, ledger: Ledger) -> None:
        ledger.fail(extract(ledger, claim(ledger)), "RowsInvalid", "no", refused=True)
        resumed = claim(ledger)
        assert (resumed.state, resumed.delivery.error) == (State.PLANNED, None)

    def test_an_agreement_with_another_text_may_begin_again_but_not_publish_old_bytes(self, ledger: Ledger) -> None:
        ledger.fail(claim(ledger), "SignerUnknown", "no", refused=True)
        assert claim(ledger, agreement_digest="b" * 64).delivery.agreement_digest == "b" * 64
        held = seal(ledger, extract(ledger, claim(ledger, Period.parse("2026-02"))))
        ledger.fail(held, "DestinationUnreachable", "no", refused=False)
        with pytest.raises(DeliveryStateError, match="another text"):
            claim(ledger, Period.parse("2026-02"), agreement_digest="b" * 64)

    def test_a_delivered_one_is_returned_as_it_is(self, ledger: Ledger) -> None:
        deliver(ledger)
        before = recorded(ledger)
        again = claim(ledger, worker="worker-2")
        assert (again.state, again.sealed) == (State.PUBLISHED, SEALED)
        assert recorded(ledger) == before

    def test_a_redelivery_publishes_the_same_bytes_with_its_reason(self, ledger: Ledger) -> None:
        deliver(ledger)
        held = claim(ledger, actor="beheerder", reason="lost by the recipient")
        held = ledger.advance(held, State.SEALED, Action.DELIVERY_REOPENED)
        held = publish(ledger, held)
        assert (held.sealed, held.delivery.reason) == (SEALED, "lost by the recipient")
        assert held.delivery.actor == "beheerder"


class TestEditions:
    def test_a_correction_supersedes_every_earlier_edition(self, ledger: Ledger) -> None:
        first = deliver(ledger)
        second = claim(ledger, edition=2, reason="wrong month")
        ledger.fail(second, "RowsInvalid", "no", refused=True)
        third = deliver(ledger, edition=3, reason="wrong month")
        assert third.delivery.supersedes == first.id
        assert [state(ledger, edition) for edition in (1, 2, 3)] == [
            State.SUPERSEDED,
            State.SUPERSEDED,
            State.PUBLISHED,
        ]
        assert ledger.latest_edition(AGREEMENT, JANUARY) == 3

    def test_the_first_edition_stays_until_the_second_is_published(self, ledger: Ledger) -> None:
        deliver(ledger)
        held = seal(ledger, extract(ledger, claim(ledger, edition=2)))
        assert state(ledger) == State.PUBLISHED
        publish(ledger, held)
        assert state(ledger) == State.SUPERSEDED

    def test_an_edition_out_of_order_is_refused_and_recorded(self, ledger: Ledger) -> None:
        with pytest.raises(DeliveryStateError):
            claim(ledger, edition=2)
        assert ledger.latest_edition(AGREEMENT, JANUARY) is None
        assert recorded(ledger)[-1].body.result == Result.REFUSED

    def test_a_new_edition_waits_for_the_unfinished_one(self, ledger: Ledger) -> None:
        ledger.release(claim(ledger))
        with pytest.raises(DeliveryStateError, match="not finished"):
            claim(ledger, edition=2)

    def test_a_new_edition_waits_for_a_worker_at_the_last_one(self, ledger: Ledger) -> None:
        deliver(ledger)
        claim(ledger, reason="redeliver")
        with pytest.raises(DeliveryBusy):
            claim(ledger, edition=2, worker="worker-2")

    def test_a_late_redelivery_cannot_follow_a_correction(self, ledger: Ledger, clock: Clock) -> None:
        deliver(ledger)
        late = claim(ledger, reason="redeliver")
        clock.advance(seconds=LEASE_SECONDS + 1)
        deliver(ledger, edition=2)
        with pytest.raises(DeliveryBusy, match="newer edition"):
            ledger.advance(late, State.SEALED, Action.DELIVERY_REOPENED)
        assert [state(ledger, edition) for edition in (1, 2)] == [State.SUPERSEDED, State.PUBLISHED]

    def test_an_older_edition_is_not_worked_on_while_a_newer_one_is_unfinished(self, ledger: Ledger) -> None:
        deliver(ledger)
        ledger.release(claim(ledger, edition=2))
        with pytest.raises(DeliveryStateError, match="newer edition, 2"):
            claim(ledger, edition=1)

    @pytest.mark.parametrize("refused", [True, False])
    def test_the_newest_published_edition_comes_again_while_its_correction_is_stopped(
        self, ledger: Ledger, refused: bool
    ) -> None:
        first = deliver(ledger)
        stopped_correction(ledger, refused=refused)
        found = ledger.newest_published(AGREEMENT, JANUARY)
        assert found is not None
        assert found.id == first.id
        again = publish(ledger, reopened(ledger))
        ledger.release(again)
        assert (again.sealed, again.delivery.supersedes) == (SEALED, None)
        assert [state(ledger, edition) for edition in (1, 2)] == [
            State.PUBLISHED,
            State.REFUSED if refused else State.FAILED,
        ]
        assert deliver(ledger, edition=2).delivery.supersedes == first.id
        assert state(ledger) == State.SUPERSEDED
        assert verify(ledger.engine, []).deliveries == 2

    def test_only_the_newest_published_edition_comes_again(self, ledger: Ledger) -> None:
        deliver(ledger)
        deliver(ledger, edition=2)
        stopped_correction(ledger, edition=3)
        with pytest.raises(DeliveryStateError, match="newer edition"):
            claim(ledger, edition=1)
        assert claim(ledger, edition=2).state == State.PUBLISHED

    def test_an_edition_that_was_never_published_does_not_come_after_a_newer_one(self, ledger: Ledger) -> None:
        ledger.fail(claim(ledger), "SourceUnavailable", "no", refused=False)
        stopped_correction(ledger)
        assert ledger.newest_published(AGREEMENT, JANUARY) is None
        with pytest.raises(DeliveryStateError, match="newer edition"):
            claim(ledger, edition=1)

    def test_one_that_had_no_rows_is_the_last_word(self, ledger: Ledger) -> None:
        deliver(ledger)
        held = extract(ledger, claim(ledger, edition=2))
        ledger.release(ledger.advance(held, State.SKIPPED, Action.DELIVERY_SKIPPED))
        with pytest.raises(DeliveryStateError, match="newer edition"):
            claim(ledger, edition=1)

    def test_while_it_comes_again_nobody_works_on_another_edition(self, ledger: Ledger) -> None:
        deliver(ledger)
        stopped_correction(ledger)
        reopened(ledger)
        for edition in (1, 2, 3):
            with pytest.raises(DeliveryBusy):
                claim(ledger, edition=edition, worker="worker-2")

    def test_a_worker_that_died_while_it_came_again_stands_in_nobodys_way(self, ledger: Ledger, clock: Clock) -> None:
        deliver(ledger)
        stopped_correction(ledger)
        late = ledger.advance(reopened(ledger), State.PUBLISHING, Action.DELIVERY_PUBLISHING)
        clock.advance(seconds=LEASE_SECONDS + 1)
        assert claim(ledger, worker="worker-2").state == State.SEALED, "another worker sends it"
        clock.advance(seconds=LEASE_SECONDS + 1)
        correction = claim(ledger, edition=2, worker="worker-3")
        taken = replace(late, token=late.token + 1)
        for attempt in (ledger.heartbeat, lambda it: ledger.advance(it, State.PUBLISHING, Action.DELIVERY_PUBLISHING)):
            with pytest.raises(DeliveryBusy, match="newer edition"):
                attempt(taken)
        publish(ledger, seal(ledger, extract(ledger, correction)))
        assert [state(ledger, edition) for edition in (1, 2)] == [State.SUPERSEDED, State.PUBLISHED]
        with pytest.raises(DeliveryBusy, match="newer edition"):
            ledger.heartbeat(taken)

    def test_periods_with_two_spellings_are_one_delivery(self, ledger: Ledger) -> None:
        deliver(ledger)
        assert claim(ledger, Period.parse("2026-01-01--2026-01-31")).state == State.PUBLISHED


class TestPickup:
    def test_every_file_read_as_a_whole_makes_it_picked_up(self, ledger: Ledger) -> None:
        deliver(ledger)
        assert ledger.record_pickups([pickup("a", once="1")])
        assert ledger.record_pickups([pickup("b", once="2", whole=False)])
        assert state(ledger) == State.PUBLISHED
        assert ledger.record_pickups([pickup("b", once="3")])
        assert state(ledger) == State.PICKED_UP
        assert actions(ledger)[-1] == Action.DELIVERY_PICKED_UP

    def test_a_spool_that_is_read_twice_counts_once(self, ledger: Ledger) -> None:
        deliver(ledger)
        assert ledger.record_pickups([pickup("a")])
        before = recorded(ledger)
        assert not ledger.record_pickups([pickup("a")])
        assert recorded(ledger) == before

    def test_reading_a_superseded_edition_is_recorded_and_leaves_it_superseded(self, ledger: Ledger) -> None:
        deliver(ledger)
        deliver(ledger, edition=2)
        for number, file in enumerate("ab"):
            ledger.record_pickups([pickup(file, once=str(number))])
        kept = ledger.get(AGREEMENT, JANUARY, 1)
        assert kept is not None
        assert kept.state == State.SUPERSEDED
        assert kept.picked_up_at is not None

    def test_parts_of_several_sessions_make_it_picked_up_together(self, ledger: Ledger) -> None:
        deliver(ledger)
        ledger.record_pickups([pickup("a", once="whole")])
        parts = [((0, 4),), ((7, 10),), ((3, 7),)]
        for second, spans in enumerate(parts):
            assert state(ledger) == State.PUBLISHED
            part = FileReading(10, spans, closed=second == 2, ended=f"2026-02-01T06:00:0{second}.000Z")
            ledger.record_pickups([pickup("b", once=str(second), reading=part)])
        assert state(ledger) == State.PICKED_UP

    def test_parts_count_in_whatever_order_they_are_recorded(self, ledger: Ledger) -> None:
        deliver(ledger)
        ledger.record_pickups([pickup("a", once="whole")])
        for hour, span in ((7, (4, 10)), (6, (0, 4))):
            part = FileReading(10, (span,), closed=hour == 7, ended=f"2026-02-01T0{hour}:00:00.000Z")
            ledger.record_pickups([pickup("b", once=str(hour), reading=part)])
        assert state(ledger) == State.PICKED_UP

    def test_a_delivery_that_was_never_published_is_not_picked_up(self, ledger: Ledger) -> None:
        held = seal(ledger, extract(ledger, claim(ledger)))
        ledger.record_pickups([pickup("a", files=frozenset("a"))])
        kept = ledger.get(AGREEMENT, JANUARY, 1)
        assert kept is not None
        assert (kept.state, kept.picked_up_at) == (held.state, None)

    def test_a_reading_that_fits_no_delivery_is_kept_as_failed(self, ledger: Ledger) -> None:
        deliver(ledger)
        ledger.record_pickups([pickup("a", recipient="iemand-anders")])
        ledger.record_pickups([pickup("a", edition=9, once="2")])
        assert [event.body.result for event in recorded(ledger)[-2:]] == [Result.FAILED, Result.FAILED]
        assert state(ledger) == State.PUBLISHED


class TestEvents:
    def test_details_are_stored_as_canonical_json(self, ledger: Ledger) -> None:
        event = ledger.record(Action.KEY_CREATED, "key:ledger", Result.OK, "operator", {"b": 1, "a": "é"})
        assert event.body.detail == '{"a":"é","b":1}'

    def test_details_that_json_cannot_hold_are_refused(self, ledger: Ledger) -> None:
        with pytest.raises(UnusableInput):
            ledger.record(Action.KEY_CREATED, "key:ledger", Result.OK, "operator", {"a": float("nan")})
        assert recorded(ledger) == []

    def test_a_shared_transaction_keeps_both_or_neither(self, ledger: Ledger) -> None:
        def record_and_break() -> None:
            with writing(ledger.engine) as connection:
                ledger.record(Action.KEY_CREATED, "key:ledger", Result.OK, "operator", {}, connection=connection)
                raise DeliveryStateError("the caller's own part failed")

        with pytest.raises(DeliveryStateError):
            record_and_break()
        assert recorded(ledger) == []

    def test_an_event_with_a_key_is_recorded_once(self, ledger: Ledger) -> None:
        told = [ledger.record(Action.KEY_CREATED, "k", Result.OK, "operator", {}, once="x") for _ in range(2)]
        assert told[0] == told[1]
        assert len(recorded(ledger)) == 1

    @pytest.mark.parametrize("statement", [update(events_table).values(actor="x"), delete(events_table)])
    def test_the_database_refuses_to_change_or_remove_an_event(self, ledger: Ledger, statement: object) -> None:
        deliver(ledger)
        with pytest.raises((Unexpected, LedgerUnavailable)), writing(ledger.engine) as connection:
            connection.execute(statement)
        assert verify(ledger.engine, []).events == 5

    def test_the_database_refuses_to_remove_a_delivery(self, ledger: Ledger) -> None:
        deliver(ledger)
        with pytest.raises((Unexpected, LedgerUnavailable)), writing(ledger.engine) as connection:
            connection.execute(delete(deliveries_table))

    def test_the_database_refuses_to_replace_an_event(self, ledger: Ledger) -> None:
        deliver(ledger)
        row = "SELECT seq, at, action, object, result, origin, 'x', detail, previous, hash FROM events WHERE seq = 1"
        into = "INTO events (seq, at, action, object, result, origin, actor, detail, previous, hash)"
        replace = {
            "sqlite": f"INSERT OR REPLACE {into} {row}",
            "postgresql": f"INSERT {into} {row} ON CONFLICT (seq) DO UPDATE SET actor = 'x'",
        }
        with pytest.raises((Unexpected, LedgerUnavailable)), writing(ledger.engine) as connection:
            connection.execute(text(replace[ledger.engine.dialect.name]))
        assert verify(ledger.engine, []).events == 5


class TestErrors:
    def test_a_driver_error_is_translated_without_its_values_or_context(self, ledger: Ledger) -> None:
        with pytest.raises((Unexpected, LedgerUnavailable)) as caught, writing(ledger.engine) as connection:
            connection.execute(text("SELECT 'secret-value' FROM no_such_table"))
        assert "secret" not in str(caught.value)
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
        assert not isinstance(caught.value, DBAPIError)

    def test_detail_of_an_event_is_json_that_a_reader_can_use(self, ledger: Ledger) -> None:
        deliver(ledger)
        detail = json.loads(recorded(ledger)[2].body.detail)
        assert (detail["rows"], detail["bytes"], detail["state"]) == (200, 4096, "sealed")


def test_an_unreachable_server_is_unavailable_not_a_traceback() -> None:
    engine = open_engine("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(LedgerUnavailable) as caught:
        new_ledger(engine).latest_edition(AGREEMENT, JANUARY)
    assert caught.value.__context__ is None


def test_what_happened_to_one_agreement_is_found_by_its_kind_in_order(ledger: Ledger) -> None:
    for number, (action, agreement) in enumerate(
        [
            (Action.PARTICIPANTS_ACCEPTED, AGREEMENT),
            (Action.PARTICIPANTS_REFUSED, AGREEMENT),
            (Action.PARTICIPANTS_ACCEPTED, "GLA-OTHER"),
            (Action.PARTICIPANTS_ACCEPTED, AGREEMENT),
        ]
    ):
        ledger.record(action, f"participants:{agreement}", Result.OK, "tester", {"number": number}, agreement)
    with reading(ledger.engine) as connection:
        found = events.of_agreement(connection, AGREEMENT, Action.PARTICIPANTS_ACCEPTED)
    assert [json.loads(event.body.detail)["number"] for event in found] == [0, 3]
