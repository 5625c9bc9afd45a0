"""Whatever workers do, in whatever order: the rules hold, the chain is whole, and sealed bytes never change."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.clock import from_rfc3339, to_rfc3339
from core.database import open_engine, opened
from core.errors import DeliveryBusy, DeliveryStateError, UnusableInput
from ledger import expiry
from ledger.deliveries import Claim, Delivery, FileReading, Pickup
from ledger.receipts import Receipt, Signed, record_receipt
from ledger.states import DELIVERED, DONE, STOPPED, UNFINISHED, State, can_follow
from ledger.verify import verify
from ledger.vocabulary import Action
from tests.ledger_world import AGREEMENT, JANUARY, LEASE_SECONDS, Clock, claim, new_ledger
from tests.soak import examples

_ACTION = {
    State.PLANNED: Action.DELIVERY_RESUMED,
    **{state: Action(f"delivery.{state.value}") for state in State if state is not State.PLANNED},
}

SIGNED = Signed("text", "signature", "SHA256:x")
_NEXT = dict(itertools.pairwise([State.PLANNED, State.EXTRACTING, State.SEALED, State.PUBLISHING, State.PUBLISHED]))


class DeliveryLife(RuleBasedStateMachine):
    """Workers, live and stale, on the editions of one agreement and period."""

    template: Path  # a migrated database, copied for each run

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        shutil.copy(self.template, self.folder / "gla.db")
        self.engine = open_engine(f"sqlite:///{self.folder / 'gla.db'}")
        self.clock = Clock()
        self.ledger = new_ledger(self.engine, self.clock)
        self.claims: list[Claim] = []
        self.sealed: dict[int, str] = {}
        self.count = 0

    def teardown(self) -> None:
        verify(self.engine, [])
        self.engine.dispose()
        shutil.rmtree(self.folder)

    def editions(self) -> list[Delivery]:
        latest = self.ledger.latest_edition(AGREEMENT, JANUARY) or 0
        found = [self.ledger.get(AGREEMENT, JANUARY, edition) for edition in range(1, latest + 1)]
        return [delivery for delivery in found if delivery is not None]

    def row(self, held: Claim) -> Delivery:
        row = self.ledger.get(AGREEMENT, JANUARY, held.delivery.edition)
        assert row is not None
        return row

    @initialize()
    def begin(self) -> None:
        self.claims.append(claim(self.ledger, worker="worker-0"))

    @rule(edition=st.integers(1, 4), worker=st.sampled_from(["worker-1", "worker-2"]))
    def somebody_claims(self, edition: int, worker: str) -> None:
        before = {delivery.edition: delivery for delivery in self.editions()}
        try:
            held = claim(self.ledger, edition=edition, worker=worker)
        except DeliveryBusy:
            assert any(delivery.worker is not None for delivery in before.values())
            assert {delivery.edition: delivery for delivery in self.editions()} == before
            return
        except DeliveryStateError:
            assert edition != len(before)
            assert {delivery.edition: delivery for delivery in self.editions()} == before
            return
        known = before.get(edition)
        newer = [each for each in before.values() if each.edition > edition]
        if newer:
            assert known is not None
            assert known.published_at is not None
            assert all(each.state in STOPPED and each.published_at is None for each in newer)
        assert edition <= len(before) + 1
        assert held.token == (1 if known is None else known.token + 1)
        assert held.state not in {State.EXTRACTING, State.PUBLISHING, State.REFUSED, State.FAILED, State.CANCELLED}
        self.claims.append(held)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(State))
    def a_worker_advances(self, data: Any, state: State) -> None:
        self.advance(data.draw(st.integers(0, len(self.claims) - 1)), state)

    def advance(self, index: int, state: State) -> None:
        held = self.claims[index]
        before = self.row(held)
        columns: dict[str, Any] = {}
        if state is State.SEALED and before.sealed is None:
            self.count += 1
            columns = {"sealed": f'{{"try": {self.count}}}', "rows": self.count, "bytes": 10 * self.count}
        if state is State.PUBLISHED:
            columns = {"expires_at": from_rfc3339(before.created_at) + timedelta(days=30)}
        try:
            advanced = self.ledger.advance(held, state, _ACTION[state], **columns)
        except DeliveryBusy:
            overtaken = len(self.editions()) > before.edition
            assert before.token != held.token or before.worker is None or overtaken
            assert self.row(held) == before
            return
        except DeliveryStateError:
            assert not can_follow(before.state, state) or state is State.SEALED
            assert self.row(held) == before
            return
        assert before.token == held.token
        assert can_follow(before.state, state)
        self.claims[index] = advanced

    @rule(steps=st.integers(0, 5))
    def a_correction_begins_when_the_lease_ends(self, steps: int) -> None:
        """The life that random claims seldom lead: the next edition, claimed while the last worker still works."""
        if len(self.editions()) < 4:
            self.clock.advance(seconds=LEASE_SECONDS + 1)
            self.somebody_claims(edition=len(self.editions()) + 1, worker="worker-3")
            self.the_newest_worker_goes_on(steps)

    @precondition(lambda self: self.claims)
    @rule(steps=st.integers(1, 5))
    def the_newest_worker_goes_on(self, steps: int) -> None:
        for _ in range(steps):
            row = self.row(self.claims[-1])
            if row.state not in _NEXT:
                break
            self.advance(len(self.claims) - 1, _NEXT[row.state])

    @precondition(lambda self: self.claims)
    @rule(steps=st.integers(0, 3), refused=st.booleans(), goes_on=st.booleans())
    def it_comes_again_while_a_correction_is_stopped(self, steps: int, refused: bool, goes_on: bool) -> None:
        """And then, perhaps, the correction goes on, while that worker is at it or died."""
        self.the_newest_worker_goes_on(steps=5)
        newest = self.editions()[-1]
        if newest.state not in DELIVERED or newest.edition >= 4:
            return
        self.clock.advance(seconds=LEASE_SECONDS + 1)
        self.somebody_claims(edition=newest.edition + 1, worker="worker-4")
        correction = self.claims[-1]
        if correction.delivery.edition != newest.edition + 1:
            return
        self.ledger.fail(correction, "Error", "said in the test", refused)
        self.claims.append(claim(self.ledger, edition=newest.edition, worker="worker-5"))
        self.advance(len(self.claims) - 1, State.SEALED)
        self.the_newest_worker_goes_on(steps)
        if goes_on:
            self.somebody_claims(edition=newest.edition + 1, worker="worker-6")

    @precondition(lambda self: self.claims)
    @rule()
    def the_newest_worker_finds_no_rows(self) -> None:
        """Skipping, to which random advances seldom come."""
        for state in (State.EXTRACTING, State.SKIPPED):
            self.advance(len(self.claims) - 1, state)

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), refused=st.booleans())
    def a_worker_fails(self, data: Any, refused: bool) -> None:
        held = data.draw(st.sampled_from(self.claims))
        before = self.row(held)
        try:
            self.ledger.fail(held, "Error", "said in the test", refused)
        except DeliveryBusy:
            assert before.token != held.token or before.worker is None
            return
        after = self.row(held)
        assert after.worker is None
        if before.state in DONE | {State.SUPERSEDED}:
            assert after.state == before.state

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def a_worker_releases(self, data: Any) -> None:
        held = data.draw(st.sampled_from(self.claims))
        before = self.row(held)
        self.ledger.release(held)
        after = self.row(held)
        assert (after.worker is None) if before.token == held.token else (after == before)

    @rule(seconds=st.sampled_from([1, LEASE_SECONDS - 1, LEASE_SECONDS + 1, -3600]))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)

    @rule(edition=st.integers(1, 4), file=st.sampled_from("ab"), span=st.sampled_from([(0, 10), (0, 6), (5, 10)]))
    def a_recipient_reads(self, edition: int, file: str, span: tuple[int, int]) -> None:
        self.count += 1
        files, reading = frozenset("ab"), FileReading(10, (span,), closed=True, ended=to_rfc3339(self.clock()))
        pickup = Pickup(AGREEMENT, JANUARY, edition, "gemeente-voorbeeld", file, reading, files, str(self.count), {})
        assert self.ledger.record_pickups([pickup])
        assert not self.ledger.record_pickups([pickup])

    @rule(reason=st.sampled_from([None, "damaged"]), signed=st.sampled_from([None, SIGNED]))
    def a_recipient_says_what_it_thinks(self, reason: str | None, signed: Signed | None) -> None:
        """Of the newest edition that appeared; random advances seldom come so far, so here it is finished first."""
        if self.claims and not any(each.published_at for each in self.editions()):
            self.the_newest_worker_goes_on(steps=5)
        for before in reversed(self.editions()):
            receipt = Receipt(before.id, reason, signed, "gemeente-voorbeeld", {})
            if before.published_at is None:
                with pytest.raises(UnusableInput):
                    record_receipt(self.ledger, receipt)
                continue
            new = record_receipt(self.ledger, receipt)
            assert not record_receipt(self.ledger, receipt)
            after = self.ledger.get(AGREEMENT, JANUARY, before.edition)
            assert after is not None
            confirmed = new and reason is None and can_follow(before.state, State.CONFIRMED)
            assert after.state == (State.CONFIRMED if confirmed else before.state)
            assert (after.token, after.worker) == (before.token, before.worker)
            return

    @rule(days=st.sampled_from([0, 29, 31]))
    def what_is_over_goes(self, days: int) -> None:
        self.clock.advance(days=days)
        now = to_rfc3339(self.clock())
        for due in expiry.expired(self.engine, now):
            held = due.is_held(now)
            begun = expiry.begin(self.ledger, due.id)
            assert (begun is None) == held
            if begun is not None:
                assert begun.state == (State.EXPIRED if can_follow(due.state, State.EXPIRED) else due.state)
                expiry.removed(self.ledger, begun, {})
        assert all(each.is_held(now) for each in expiry.expired(self.engine, now))

    @invariant()
    def at_most_one_edition_is_on_offer(self) -> None:
        on_offer = [delivery for delivery in self.editions() if delivery.state in DELIVERED]
        unfinished = [delivery for delivery in self.editions() if delivery.state in UNFINISHED]
        assert len(on_offer) <= 1
        assert len([delivery for delivery in unfinished if delivery.published_at is None]) <= 1
        assert len([delivery for delivery in unfinished if delivery.published_at is not None]) <= 1

    @invariant()
    def sealed_bytes_never_change(self) -> None:
        for delivery in self.editions():
            if delivery.sealed is not None:
                assert self.sealed.setdefault(delivery.edition, delivery.sealed) == delivery.sealed
            assert (delivery.published_at is None) or (delivery.sealed is not None)

    @invariant()
    def the_ledger_is_intact(self) -> None:
        verify(self.engine, [])


def test_no_order_of_events_breaks_the_rules(tmp_path: Path) -> None:
    template = tmp_path / "template.db"
    with opened(f"sqlite:///{template}"):
        pass
    machine = type("DeliveryLifeHere", (DeliveryLife,), {"template": template})
    limits = settings(
        max_examples=examples(20, soak=800),
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=limits)
