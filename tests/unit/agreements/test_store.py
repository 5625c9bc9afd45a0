"""Agreements in the database: what may change, what never does, and who wins a race."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from agreements import registry, store
from agreements.rules import AgreementState
from core.database import reading, writing
from core.errors import AgreementStateError, UnusableInput

NOW = datetime(2026, 4, 5, 12, tzinfo=UTC)
S = AgreementState


@pytest.fixture
def connection(engine):
    """One write transaction with two organisations in it."""
    with writing(engine) as connection:
        add_organisations(connection)
        yield connection


def add_organisations(connection):
    registry.add_recipient(connection, "fonds", "90000102", NOW)
    registry.add_recipient(connection, "other", "90000103", NOW)


class TestOffer:
    def test_what_was_offered_is_kept_to_the_byte(self, connection, agreement):
        offered = agreement()
        store.put_offer(connection, offered, "seal", NOW)
        stored = store.get(connection, "GLA-1")
        assert (stored.document, stored.digest) == (offered.canonical, offered.digest)
        assert (stored.state, stored.sender_signature, stored.recipient_signature) == (S.OFFERED, "seal", None)

    def test_offered_again_before_it_is_accepted_replaces_it(self, connection, agreement):
        store.put_offer(connection, agreement(), "seal", NOW)
        changed = agreement(retention=31, recipient="other")
        store.put_offer(connection, changed, "seal-2", NOW)
        stored = store.get(connection, "GLA-1")
        assert (stored.document, stored.sender_signature, stored.recipient) == (changed.canonical, "seal-2", "other")

    @pytest.mark.parametrize("state", [state for state in S if state is not S.OFFERED])
    def test_offered_under_an_id_that_is_in_use_changes_nothing(self, connection, agreement, state):
        store.put_offer(connection, agreement(), "seal", NOW)
        reach(connection, state)
        before = store.get(connection, "GLA-1")
        with pytest.raises(AgreementStateError, match="new id"):
            store.put_offer(connection, agreement(retention=31), "seal-2", NOW)
        assert store.get(connection, "GLA-1") == before


def reach(connection, state, name="GLA-1"):
    """Lead an offered agreement to a state."""
    ways = {S.ACTIVE: (S.AGREED,), S.ENDED: (S.AGREED, S.ACTIVE), S.REVOKED: (S.AGREED,)}
    for step in (*ways.get(state, ()), state):
        store.change_state(connection, name, step, NOW)


class TestChange:
    def test_signature_and_moment_come_along(self, connection, agreement):
        store.put_offer(connection, agreement(), "seal", NOW)
        later = NOW + timedelta(hours=1)
        changed = store.change_state(connection, "GLA-1", S.AGREED, later, recipient_signature="assent")
        assert (changed.state, changed.recipient_signature) == (S.AGREED, "assent")
        assert changed.changed_at == "2026-04-05T13:00:00.000Z"

    def test_forbidden_step_changes_nothing(self, connection, agreement):
        store.put_offer(connection, agreement(), "seal", NOW)
        with pytest.raises(AgreementStateError):
            store.change_state(connection, "GLA-1", S.ACTIVE, NOW)
        assert store.get(connection, "GLA-1").state is S.OFFERED

    def test_unknown_agreement_is_named_shortly_and_escaped(self, connection):
        with pytest.raises(UnusableInput, match="gla agreement list") as caught:
            store.get(connection, "\x1b" + "x" * 1000)
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 200

    def test_listed_by_id_all_or_those_in_one_state(self, connection, agreement):
        for name in ("GLA-2", "GLA-1", "GLA-3"):
            store.put_offer(connection, agreement(name), "seal", NOW)
        reach(connection, S.ACTIVE, "GLA-3")
        assert [item.id for item in store.list_agreements(connection)] == ["GLA-1", "GLA-2", "GLA-3"]
        assert [item.id for item in store.list_agreements(connection, S.ACTIVE)] == ["GLA-3"]


def test_of_two_that_change_it_at_once_one_wins_and_the_other_is_told(engine, agreement):
    with writing(engine) as connection:
        add_organisations(connection)
        store.put_offer(connection, agreement(), "seal", NOW)
    wanted = [S.AGREED, S.WITHDRAWN] * 4
    ready = threading.Barrier(len(wanted))
    ends: list[str] = []

    def change(state):
        ready.wait()
        try:
            with writing(engine) as connection:
                store.change_state(connection, "GLA-1", state, NOW)
            ends.append(state)
        except AgreementStateError:
            ends.append("refused")

    threads = [threading.Thread(target=change, args=(state,)) for state in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        state = store.get(connection, "GLA-1").state
    assert Counter(ends) == {state: 1, "refused": len(wanted) - 1}


def test_a_change_that_was_decided_on_an_old_state_is_refused(engine, agreement, monkeypatch):
    """The database itself holds the line, even where a writer did not take its turn."""
    with writing(engine) as connection:
        add_organisations(connection)
        store.put_offer(connection, agreement(), "seal", NOW)
        stale = store.get(connection, "GLA-1")
        reach(connection, S.WITHDRAWN)
        monkeypatch.setattr(store, "get", lambda *_: stale)
        with pytest.raises(AgreementStateError, match="changed by someone else"):
            store.change_state(connection, "GLA-1", S.AGREED, NOW)
