"""Organisations, keys and agreements in the database: what may change, what never does, and who wins a race."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from agreements import store
from agreements.rules import AgreementState
from agreements.store import KeyPurpose
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
    store.add_recipient(connection, "fonds", "90000102", NOW)
    store.add_recipient(connection, "other", "90000103", NOW)


def add_key(connection, fingerprint="SHA256:a", recipient="fonds", moment=NOW):
    store.add_key(connection, recipient, KeyPurpose.SIGN, f"ssh-ed25519 {fingerprint}", fingerprint, moment)


class TestOrganisations:
    def test_registered_again_with_the_same_number_is_the_same(self, connection):
        store.add_recipient(connection, "fonds", "90000102", NOW)
        assert store.list_recipients(connection) == [("fonds", "90000102"), ("other", "90000103")]

    def test_name_of_another_organisation_is_taken(self, connection):
        with pytest.raises(UnusableInput, match="another KvK number"):
            store.add_recipient(connection, "fonds", "90000104", NOW)


class TestKeys:
    def test_keys_are_listed_oldest_first_and_only_those_of_the_organisation(self, connection):
        add_key(connection, "SHA256:new", moment=NOW + timedelta(days=1))
        add_key(connection, "SHA256:old")
        add_key(connection, "SHA256:theirs", "other")
        assert [key.fingerprint for key in store.keys_of(connection, "fonds")] == ["SHA256:old", "SHA256:new"]

    def test_the_same_key_twice_is_one_key(self, connection):
        add_key(connection)
        add_key(connection)
        assert len(store.keys_of(connection, "fonds")) == 1

    def test_key_of_another_organisation_is_refused(self, connection):
        add_key(connection, recipient="other")
        with pytest.raises(UnusableInput, match="belongs to another organisation"):
            add_key(connection, recipient="fonds")
        assert store.keys_of(connection, "fonds") == []

    def test_revoked_key_stays_listed_as_revoked(self, connection):
        add_key(connection)
        store.revoke_key(connection, "fonds", "SHA256:a", NOW)
        assert [key.revoked for key in store.keys_of(connection, "fonds")] == [True]

    def test_revoked_key_cannot_be_registered_again_by_anyone(self, connection):
        add_key(connection)
        store.revoke_key(connection, "fonds", "SHA256:a", NOW)
        for recipient in ("fonds", "other"):
            with pytest.raises(UnusableInput, match="revoked"):
                add_key(connection, recipient=recipient)
        assert [key.revoked for key in store.keys_of(connection, "fonds")] == [True]

    def test_revoked_twice_keeps_the_first_moment(self, connection):
        from sqlalchemy import select

        from agreements.tables import recipient_keys

        add_key(connection)
        store.revoke_key(connection, "fonds", "SHA256:a", NOW)
        store.revoke_key(connection, "fonds", "SHA256:a", NOW + timedelta(days=1))
        assert connection.execute(select(recipient_keys.c.revoked_at)).scalar() == "2026-04-05T12:00:00.000Z"

    @pytest.mark.parametrize(("recipient", "fingerprint"), [("other", "SHA256:a"), ("fonds", "SHA256:b")])
    def test_nobody_revokes_a_key_that_is_not_theirs(self, connection, recipient, fingerprint):
        add_key(connection)
        with pytest.raises(UnusableInput, match="has no key"):
            store.revoke_key(connection, recipient, fingerprint, NOW)
        assert [key.revoked for key in store.keys_of(connection, "fonds")] == [False]


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
        reach(connection, S.ACTIVE)
    wanted = [S.ENDED, S.REVOKED] * 4
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
