"""A delivery from PostgreSQL whose source fails on the way: nothing appears, and resuming delivers every row once."""

from __future__ import annotations

import logging
import time
import traceback
from dataclasses import replace

import polars as pl
import pytest

import flows.sources.base
import flows.sources.postgres.session
from core.errors import SourceColumnMissing, SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.steps import path
from flows.wiring import open_sources
from ledger.history import history
from tests.delivery_world import people
from tests.servers.postgres import READER, PostgresServer
from tests.servers.proxy import CuttableProxy

pytestmark = pytest.mark.server

ROWS = 20_000
PASSWORD = "wachtwoord-van-de-bron"
ADDED = 50
RECORD = 54  # bytes of a row on the wire: four values with their lengths, and a header
SOURCE_LIMITS = SourceSettings(connect_seconds=5, idle_seconds=4, statement_seconds=30)


@pytest.fixture
def database(postgresql_server: PostgresServer) -> str:
    """A register of people, all of whose rows fall in one period, and a table that is not offered."""
    name = postgresql_server.create_database()
    with postgresql_server.connect(name) as connection:
        connection.execute("CREATE TABLE people (id int8, day date, amount int8, note text, secret text)")
        connection.execute("CREATE TABLE salaries (id int8, day date, amount int8, note text)")
        connection.execute(f"GRANT SELECT ON people, salaries TO {READER}")
        with connection.cursor() as cursor, cursor.copy("COPY people FROM STDIN") as copy:
            for row in people(ROWS).with_columns(day=pl.lit("2026-03-05")).iter_rows():
                copy.write_row(row)
    return name


@pytest.fixture
def registered(make_world, database, postgresql_server, monkeypatch):
    """A world whose agreement is over that register, reached over a wire."""
    monkeypatch.setattr(flows.sources.base, "BATCH_ROWS", 2000)
    monkeypatch.setattr(flows.sources.postgres.session, "BATCH_BYTES", 64 * 1024)
    world = make_world()
    settings = world.services.settings.model_copy(update={"sources": SOURCE_LIMITS})
    world.services = replace(world.services, settings=settings, sources=open_sources(settings))

    def reach(wire: CuttableProxy | None = None) -> None:
        where = {} if wire is None else {"host": "127.0.0.1", "port": wire.port}
        monkeypatch.setenv("GLA_TEST_REGISTER", postgresql_server.conninfo(database, **where))

    reach()
    world.services.sources.add("register", "env:GLA_TEST_REGISTER", "postgresql", "Register", ("people",))
    document = world.document(source="register")
    world.conclude(document)
    world.reach = reach
    return world


def delivered_rows(world) -> int:
    [row] = history(world.services.engine)
    assert row.state == "published"
    return row.rows


@pytest.mark.parametrize("percent", [10, 50, 99])
def test_connection_cut_on_the_way_then_resume_delivers_every_row_once(registered, postgresql_server, percent):
    with CuttableProxy(postgresql_server.socket, every=ROWS * RECORD * percent // 100) as wire:
        registered.reach(wire)
        with pytest.raises(SourceUnavailable):
            path.run(registered.services, registered.order())
    assert registered.visible_files() == []
    assert not [file for file in registered.services.settings.staging_dir.rglob("*") if file.is_file()]
    registered.reach()
    assert path.run(registered.services, registered.order()).rows == ROWS
    assert delivered_rows(registered) == ROWS
    assert path.run(registered.services, registered.order()).done_before


def test_source_that_falls_silent_frees_its_delivery(registered, postgresql_server):
    with CuttableProxy(postgresql_server.socket) as wire:
        registered.reach(wire)
        wire.pause_after(ROWS * RECORD // 2)
        started = time.monotonic()
        with pytest.raises(SourceUnavailable, match="did not answer for"):
            path.run(registered.services, registered.order())
        assert time.monotonic() - started < 20
        registered.reach()
        assert path.run(registered.services, registered.order()).rows == ROWS  # while the silent one still hangs


def test_rows_that_arrive_during_a_delivery_are_in_the_next_one(registered, database, postgresql_server):
    with CuttableProxy(postgresql_server.socket) as wire, postgresql_server.connect(database) as connection:
        registered.reach(wire)
        wire.pause_after(ROWS * RECORD // 2)

        def add(rows: int, _size: int) -> None:
            if rows == 2000:
                connection.execute(f"INSERT INTO people SELECT * FROM people LIMIT {ADDED}")
                wire.resume()

        assert path.run(registered.services, registered.order(), progress=add).rows == ROWS
    registered.reach()
    later = registered.order(path.Mode.CORRECT, "rows came late")
    assert path.run(registered.services, later).rows == ROWS + ADDED


def test_server_restart_during_a_delivery_then_resume(registered, postgresql_server):
    with CuttableProxy(postgresql_server.socket) as wire:
        registered.reach(wire)
        wire.pause_after(ROWS * RECORD // 2)

        def restart(rows: int, _size: int) -> None:
            if rows == 2000:
                postgresql_server.restart()
                wire.resume()

        with pytest.raises(SourceUnavailable):
            path.run(registered.services, registered.order(), progress=restart)
    registered.reach()
    assert path.run(registered.services, registered.order()).rows == ROWS


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ("DROP TABLE people", SourceUnavailable, "has no table public.people"),
        ("ALTER TABLE people RENAME note TO remark", SourceColumnMissing, "no column note"),
        ("ALTER TABLE people ALTER day TYPE text", UnusableInput, "filter on day"),
        (f"GRANT INSERT ON people TO {READER}", UnusableInput, "can change table"),
    ],
)
def test_table_that_changed_is_refused_by_name_before_anything_is_read(
    registered, database, postgresql_server, change, error, words
):
    with postgresql_server.connect(database) as connection:
        connection.execute(change)
    with pytest.raises(error, match=words):
        path.run(registered.services, registered.order())
    assert registered.visible_files() == []


def test_agreement_cannot_name_a_table_that_is_not_offered(registered):
    registered.services.sources.add(
        "both", "env:GLA_TEST_REGISTER", "postgresql", "Register", ("people", "public.people")
    )
    document = registered.document(source="both")
    document["schema"][0]["physicalName"] = "salaries"
    with pytest.raises(UnusableInput, match="does not offer the table"):
        registered.offer(document)


def test_secret_that_is_gone_is_named_by_its_place(registered, monkeypatch):
    monkeypatch.delenv("GLA_TEST_REGISTER")
    with pytest.raises(SourceUnavailable, match="env:GLA_TEST_REGISTER"):
        path.run(registered.services, registered.order())


def test_pakbon_and_ledger_say_which_state_was_read(registered):
    path.run(registered.services, registered.order())
    assert "postgresql system" in str(registered.events())


def test_password_of_a_source_is_in_no_file_log_or_error(registered, postgresql_server, database, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("GLA_TEST_REGISTER", postgresql_server.conninfo(database, password=PASSWORD))
    path.run(registered.services, registered.order())
    monkeypatch.setenv("GLA_TEST_REGISTER", postgresql_server.conninfo("absent", password=PASSWORD))
    with pytest.raises(SourceUnavailable, match="lets the registered role in") as caught:
        path.run(registered.services, registered.order(path.Mode.CORRECT, "again"))
    told = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert PASSWORD not in caplog.text + told
    written = [file for file in registered.home.rglob("*") if file.is_file()]
    assert written
    assert not [file for file in written if PASSWORD.encode() in file.read_bytes()]
