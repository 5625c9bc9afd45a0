"""Opening and migrating: the schema is the one in the code, whoever starts first; nobody else can read the file."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, select, text

import agreements.tables as agreement_tables
import ledger.tables as ledger_tables
from core import database
from core.database import metadata, migrate, opened, reading, writing
from core.errors import LedgerUnavailable, Unexpected, UnusableInput
from ledger.store import Ledger
from ledger.verify import verify
from ledger.vocabulary import Action, Result
from tests.ledger_world import AGREEMENT, JANUARY, deliver, new_ledger

PROCESSES = 4


def test_the_migrated_schema_is_the_one_in_the_code(engine: Engine) -> None:
    assert {ledger_tables.events.name, agreement_tables.agreements.name} <= set(metadata.tables)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_changes_nothing(engine: Engine) -> None:
    deliver(new_ledger(engine))
    migrate(engine)
    with reading(engine) as connection:
        assert len(connection.execute(select(ledger_tables.events)).all()) == 5


def _open_and_record(url: str) -> None:
    with opened(url) as engine:
        new_ledger(engine).latest_edition(AGREEMENT, JANUARY)


def test_processes_that_start_at_once_migrate_once(database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open_and_record, args=(database_url,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * PROCESSES


def test_a_database_of_a_newer_program_is_refused(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerUnavailable, match="newer version") as caught:
        migrate(engine)
    assert caught.value.__context__ is None


def test_a_write_in_a_reading_transaction_is_refused(engine: Engine) -> None:
    with pytest.raises((LedgerUnavailable, Unexpected)), reading(engine) as connection:
        connection.execute(text("UPDATE deliveries SET state = 'published'"))


def test_the_newest_file_name_is_alembics_only_head() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    assert ScriptDirectory.from_config(config).get_heads() == [database._newest_revision()]


def test_nobody_else_can_read_the_sqlite_files(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'home' / 'gla.db'}") as engine:
        deliver(new_ledger(engine))
        assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
        files = list((tmp_path / "home").iterdir())
        assert {file.name for file in files} == {"gla.db", "gla.db-wal", "gla.db-shm"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def _read_and_leave(url: str) -> None:
    with opened(url) as engine, reading(engine) as connection:
        connection.execute(select(ledger_tables.events)).all()


def test_a_second_opening_in_a_process_keeps_the_locks_of_the_first(tmp_path: Path) -> None:
    """Without them another process that ends takes the write-ahead log away, and the first engine is broken."""
    url = f"sqlite:///{tmp_path / 'gla.db'}"
    with opened(url) as first:
        deliver(new_ledger(first))
        database.open_engine(url).dispose()
        other = multiprocessing.get_context("spawn").Process(target=_read_and_leave, args=(url,))
        other.start()
        other.join()
        assert (tmp_path / "gla.db-wal").exists()
        with reading(first) as connection:
            assert len(connection.execute(select(ledger_tables.events)).all()) == 5


@pytest.mark.parametrize(
    "url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:hunter2@h/d", "postgresql"]
)
def test_another_kind_of_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(UnusableInput) as caught:
        database.open_engine(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerUnavailable) as caught:
        database.open_engine(f"sqlite:///{tmp_path / 'file' / 'gla.db'}")
    assert caught.value.__context__ is None


def test_a_file_that_is_no_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "gla.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(LedgerUnavailable), opened(f"sqlite:///{tmp_path / 'gla.db'}"):
        pass


def _record_many(ledger: Ledger) -> None:
    for _ in range(1000):
        ledger.record(Action.SOURCE_ADDED, "source:x", Result.OK, "operator", {})


def test_a_full_disk_is_unavailable_and_loses_nothing(tmp_path: Path) -> None:
    with opened(f"sqlite:///{tmp_path / 'gla.db'}") as engine:
        ledger = new_ledger(engine)
        deliver(ledger)
        with engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")  # stands for a full disk
        with pytest.raises(LedgerUnavailable):
            _record_many(ledger)
        assert ledger.latest_edition(AGREEMENT, JANUARY) == 1
        verify(engine, [])
