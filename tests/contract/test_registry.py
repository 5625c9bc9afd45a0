"""Organisations and their keys in the database, on SQLite and on PostgreSQL: what may change, and what never does."""

from __future__ import annotations

import multiprocessing
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from agreements import registry
from agreements.registry import NewKey
from agreements.standing import KeyPurpose, ProvenBy, Standing
from core import database
from core.clock import utc_now
from core.database import migrate, reading, writing
from core.errors import KeyNotProven, UnusableInput
from core.settings import Settings
from flows.steps.possession import prove
from flows.steps.recipients import register
from flows.wiring import open_services
from keys.private.identities import generate_identity
from ledger.events import in_order
from tests.delivery_world import returned

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


def new_key(fingerprint, kind="age-hybrid", **dates):
    return NewKey(fingerprint, KeyPurpose.SEAL, kind, "age1", **dates)


class TestDates:
    def test_a_new_key_is_valid_from_now_on_and_not_proven(self, connection):
        key = registry.add_key(connection, "fonds", new_key("SHA256:k"), NOW)
        assert (key.valid_from, key.valid_until, key.proven_at) == ("2026-04-05T12:00:00.000Z", None, None)
        assert key.standing(NOW) is Standing.NOT_PROVEN

    def test_from_registered_to_expired(self, connection):
        dates = {"valid_from": NOW + timedelta(days=1), "valid_until": NOW + timedelta(days=3)}
        registry.add_key(connection, "fonds", new_key("SHA256:k", **dates), NOW)
        registry.set_proven(connection, "SHA256:k", ProvenBy.CHALLENGE, NOW)
        key = registry.key_of(connection, "fonds", "SHA256:k")
        expected = [Standing.NOT_YET_VALID, Standing.VALID, Standing.VALID, Standing.EXPIRED]
        assert [key.standing(NOW + timedelta(days=days)) for days in range(4)] == expected
        registry.revoke_key(connection, "fonds", "SHA256:k", NOW)
        assert registry.key_of(connection, "fonds", "SHA256:k").standing(NOW) is Standing.REVOKED

    def test_a_limit_only_shortens(self, connection):
        registry.add_key(connection, "fonds", new_key("SHA256:k"), NOW)
        for days, left in ((9, 9), (20, 9), (3, 3)):
            registry.limit_key(connection, "SHA256:k", NOW + timedelta(days=days))
            assert registry.key_of(connection, "fonds", "SHA256:k").time_left(NOW) == timedelta(days=left)

    def test_the_first_proof_stays(self, connection):
        registry.add_key(connection, "fonds", new_key("SHA256:k"), NOW)
        registry.set_proven(connection, "SHA256:k", ProvenBy.ASSENT, NOW)
        registry.set_proven(connection, "SHA256:k", ProvenBy.CHALLENGE, NOW + timedelta(days=1))
        key = registry.key_of(connection, "fonds", "SHA256:k")
        assert (key.proven_at, key.proven_by) == ("2026-04-05T12:00:00.000Z", ProvenBy.ASSENT)


def _prove(url, answer, start):
    """Another process that got the same answer of a recipient; 0 if its proof was the one that counted."""
    services = open_services(Settings(home=Path(answer).parent, database_url=url))
    start.wait(60)
    try:
        prove(services, "fonds", Path(answer).read_text())
    except KeyNotProven:
        sys.exit(1)


def test_two_proofs_at_once_count_once(database_url, tmp_path):
    identity = generate_identity("x25519")
    services = open_services(Settings(home=tmp_path / "home", database_url=database_url))
    [added] = register(services, "fonds", "90000102", [str(identity.recipient)], [])
    answer = tmp_path / "home" / "answer"
    answer.write_text(returned(services, added, identity))
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    processes = [context.Process(target=_prove, args=(database_url, str(answer), start)) for _ in range(3)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(60)
    assert sorted(process.exitcode for process in processes) == [0, 1, 1]
    with reading(services.engine) as connection:
        assert registry.find_key(connection, added.key.fingerprint).standing(utc_now()) is Standing.VALID
        results = [event.body.result for event in in_order(connection) if event.body.action == "key.proven"]
    assert sorted(results) == ["ok", "refused", "refused"]
    services.engine.dispose()


def test_keys_of_before_are_taken_along_and_have_to_be_proven(database_url):
    """The database of an installation that registered its keys when nobody had to prove them."""
    engine = database.open_engine(database_url)
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(text("INSERT INTO recipients VALUES ('fonds', '90000102', '2026-01-01T00:00:00.000Z')"))
        for row in (("a", "seal", "age1pq1x"), ("b", "seal", "age1x"), ("c", "sign", "ssh-ed25519 x")):
            statement = (
                "INSERT INTO recipient_keys VALUES (:id, 'fonds', :purpose, :key, '2026-01-02T00:00:00.000Z', NULL)"
            )
            connection.execute(text(statement), dict(zip(("id", "purpose", "key"), row, strict=True)))
    migrate(engine)
    with reading(engine) as connection:
        keys = registry.keys_of(connection, "fonds")
    assert [(key.fingerprint, key.kind) for key in keys] == [("a", "age-hybrid"), ("b", "age-x25519"), ("c", "ssh")]
    assert {key.valid_from for key in keys} == {"2026-01-02T00:00:00.000Z"}
    assert {key.standing(NOW) for key in keys} == {Standing.NOT_PROVEN}
    engine.dispose()
