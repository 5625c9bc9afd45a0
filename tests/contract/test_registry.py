"""Organisations and their keys in the database, on SQLite and on PostgreSQL: what may change, and what never does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agreements import registry
from agreements.registry import NewKey
from agreements.standing import KeyPurpose
from core.database import writing
from core.errors import UnusableInput

NOW = datetime(2026, 4, 5, 12, tzinfo=UTC)


@pytest.fixture
def connection(engine):
    """One write transaction with two organisations in it."""
    with writing(engine) as connection:
        registry.add_recipient(connection, "fonds", "90000102", NOW)
        registry.add_recipient(connection, "other", "90000103", NOW)
        yield connection


def add_key(connection, fingerprint="SHA256:a", recipient="fonds", moment=NOW, **dates):
    new = NewKey(fingerprint, KeyPurpose.SIGN, "ssh", f"ssh-ed25519 {fingerprint}", **dates)
    return registry.add_key(connection, recipient, new, moment)


class TestOrganisations:
    def test_registered_again_with_the_same_number_is_the_same(self, connection):
        registry.add_recipient(connection, "fonds", "90000102", NOW)
        assert registry.list_recipients(connection) == [("fonds", "90000102"), ("other", "90000103")]

    def test_name_of_another_organisation_is_taken(self, connection):
        with pytest.raises(UnusableInput, match="another KvK number"):
            registry.add_recipient(connection, "fonds", "90000104", NOW)


class TestKeys:
    def test_keys_are_listed_oldest_first_and_only_those_of_the_organisation(self, connection):
        add_key(connection, "SHA256:new", moment=NOW + timedelta(days=1))
        add_key(connection, "SHA256:old")
        add_key(connection, "SHA256:theirs", "other")
        assert [key.fingerprint for key in registry.keys_of(connection, "fonds")] == ["SHA256:old", "SHA256:new"]

    def test_the_same_key_twice_is_one_key(self, connection):
        add_key(connection)
        add_key(connection)
        assert len(registry.keys_of(connection, "fonds")) == 1

    def test_key_of_another_organisation_is_refused(self, connection):
        add_key(connection, recipient="other")
        with pytest.raises(UnusableInput, match="belongs to another organisation"):
            add_key(connection, recipient="fonds")
        assert registry.keys_of(connection, "fonds") == []

    def test_revoked_key_stays_listed_as_revoked(self, connection):
        add_key(connection)
        registry.revoke_key(connection, "fonds", "SHA256:a", NOW)
        assert [key.revoked for key in registry.keys_of(connection, "fonds")] == [True]

    def test_revoked_key_cannot_be_registered_again_by_anyone(self, connection):
        add_key(connection)
        registry.revoke_key(connection, "fonds", "SHA256:a", NOW)
        for recipient in ("fonds", "other"):
            with pytest.raises(UnusableInput, match="revoked"):
                add_key(connection, recipient=recipient)
        assert [key.revoked for key in registry.keys_of(connection, "fonds")] == [True]

    def test_revoked_twice_keeps_the_first_moment(self, connection):
        from sqlalchemy import select

        from agreements.tables import recipient_keys

        add_key(connection)
        registry.revoke_key(connection, "fonds", "SHA256:a", NOW)
        registry.revoke_key(connection, "fonds", "SHA256:a", NOW + timedelta(days=1))
        assert connection.execute(select(recipient_keys.c.revoked_at)).scalar() == "2026-04-05T12:00:00.000Z"

    @pytest.mark.parametrize(("recipient", "fingerprint"), [("other", "SHA256:a"), ("fonds", "SHA256:b")])
    def test_nobody_revokes_a_key_that_is_not_theirs(self, connection, recipient, fingerprint):
        add_key(connection)
        with pytest.raises(UnusableInput, match="has no key"):
            registry.revoke_key(connection, recipient, fingerprint, NOW)
        assert [key.revoked for key in registry.keys_of(connection, "fonds")] == [False]
