"""infra/postgres-roles.sql: who the pipeline logs in as can add to the ledger, and change or remove nothing in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from core.database import migrate, open_engine, opened, writing
from core.errors import GlaError
from ledger.removal import remove_bodies
from ledger.verify import verify
from tests.ledger_world import Clock, deliver, new_ledger
from tests.servers.postgres import PostgresServer

SQL = (Path(__file__).parents[2] / "infra" / "postgres-roles.sql").read_text()


@pytest.fixture(scope="module")
def as_role(
    postgresql_server: PostgresServer, postgresql_database: Callable[[], str]
) -> Iterator[Callable[[str], Engine]]:
    """Opens the same database, with one delivery, as somebody who has one of the roles and nothing else."""
    url = postgresql_database()
    with opened(url):
        pass
    name, engines = str(make_url(url).database), {}
    with postgresql_server.connect(name) as connection:
        connection.execute(SQL)
        connection.execute(SQL)  # again, as after an update

    def open_as(role: str) -> Engine:
        if role not in engines:
            with postgresql_server.connect(name) as connection:
                connection.execute(f"CREATE ROLE {role}_{name} LOGIN IN ROLE {role}")
            own = make_url(url).set(username=f"{role}_{name}").render_as_string(hide_password=False)
            engines[role] = open_engine(own)
            migrate(engines[role])  # as every start does; there is nothing to do
        return engines[role]

    deliver(new_ledger(open_as("gla_writer")))
    yield open_as
    for role, engine in engines.items():
        engine.dispose()
        with postgresql_server.connect(name) as connection:
            connection.execute(f"DROP ROLE {role}_{name}")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET actor = 'x'",
        "UPDATE events SET object = '', origin = '', actor = '', detail = '', nonce = NULL, removed_by = 9",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM deliveries",
        "ALTER TABLE events DISABLE TRIGGER ALL",
        "DROP TRIGGER events_never_change ON events",
        "DROP TABLE events",
        "UPDATE alembic_version SET version_num = '0001'",
    ],
)
@pytest.mark.parametrize("role", ["gla_writer", "gla_retention"])
def test_nobody_of_the_pipeline_changes_or_removes(as_role: Callable[[str], Engine], role: str, statement: str) -> None:
    engine = as_role(role)
    with pytest.raises((GlaError, DBAPIError)), writing(engine) as connection:
        connection.execute(text(statement))
    assert verify(engine, []).events == 5


def test_the_auditor_reads_and_verifies_and_writes_nothing(as_role: Callable[[str], Engine]) -> None:
    engine = as_role("gla_auditor")
    assert verify(engine, []).events == 5
    with pytest.raises(GlaError):
        deliver(new_ledger(engine), edition=2)


def test_retention_removes_by_rule(as_role: Callable[[str], Engine]) -> None:
    engine, clock = as_role("gla_retention"), Clock()
    clock.advance(days=400)
    assert remove_bodies(new_ledger(engine, clock), "2027-01-01T00:00:00.000Z") == 5
    assert verify(engine, []).removed == 5
