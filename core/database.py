"""The database: one SQLite file below GLA_HOME, or a PostgreSQL by URL; opened, migrated, shared by the stores.

There is one writer at a time: `writing` takes SQLite's write lock, or one advisory lock on PostgreSQL, before its first
statement. So a store may read, decide and write without races, and the chain of events has one end. The price is that
nothing slow may happen inside `writing`: no network, no files.

Driver errors may hold values, so they never leave this module: they become `LedgerUnavailable`, or `Unexpected` where
our own statement was wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from core.errors import GlaError, LedgerUnavailable, Unexpected, UnusableInput

WAIT_SECONDS = (
    30  # for another writer; a write transaction takes milliseconds, so this is a stuck or very busy database
)
_WRITERS_LOCK = 0x676C61  # "gla"; the key of the advisory lock that every writer takes on PostgreSQL
_MIGRATIONS = resources.files("core") / "migrations"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every table of ours, of every store; the migrations must produce exactly these (a test compares them)."""


def open_engine(url: str) -> Engine:
    """Open `sqlite:///PATH` or `postgresql://...`; raises `UnusableInput` for any other URL, without repeating it."""
    try:
        parsed = make_url(url)
    except SQLAlchemyError:
        parsed = None
    backend = parsed.get_backend_name() if parsed is not None else ""
    if parsed is not None and backend == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return _open_sqlite(parsed)
    if parsed is not None and backend == "postgresql":
        return _open_postgresql(parsed)
    raise UnusableInput("the database URL must be of the form sqlite:///PATH or postgresql://USER@HOST/NAME")


def require_database(url: str) -> None:
    """`UnusableInput` if it is a file that is not there: of what was never recorded any answer would be a wrong one."""
    try:
        path = Path(url.removeprefix("sqlite:///"))
        if not url.startswith("sqlite:///") or path.exists():
            return
        folder = path.parent.resolve()
    except OSError as error:
        raise LedgerUnavailable(
            f"the database file cannot be opened ({type(error).__name__}): check its folder"
        ) from None
    raise UnusableInput(
        f"there is no ledger in {folder}: go to the folder that holds .gla, or set GLA_HOME or GLA_DATABASE_URL"
    )


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open and migrate for the length of a `with`, and close every connection at its end."""
    engine = open_engine(url)
    try:
        migrate(engine)
        yield engine
    finally:
        engine.dispose()


@contextmanager
def existing(url: str) -> Iterator[Engine]:
    """`opened`, for who asks: see `require_database`."""
    require_database(url)
    with opened(url) as engine:
        yield engine


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest migration; does nothing where it is. Safe when several processes start at once."""
    with writing(engine) as connection:
        if _current_revision(connection) != _newest_revision():
            _upgrade(connection)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction of the only writer; commits at the end, rolls back on any exception."""
    with _translated(), engine.connect() as connection:
        connection = connection.execution_options(gla_write=True)  # noqa: PLW2901 - the option returns the same connection
        with connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS_LOCK})
            yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One snapshot in which nothing can be written; a reader never waits for the writer."""
    with _translated(), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(  # noqa: PLW2901 - the option returns the same connection
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        with connection.begin():
            yield connection


@contextmanager
def _translated() -> Iterator[None]:
    failure: GlaError | None = None
    try:
        yield
    except (IntegrityError, ProgrammingError) as error:
        failure = Unexpected(f"a statement does not fit the database ({type(error).__name__})")
    except SQLAlchemyError as error:
        failure = LedgerUnavailable(
            f"the database cannot be used ({type(error).__name__}): check that it runs and has room, then run again"
        )
    if failure is not None:
        try:
            raise failure
        except GlaError:
            failure.__context__ = None  # inside `with`, Python hangs the driver's error, with its values, on ours
            raise


def _open_sqlite(url: URL) -> Engine:
    _create_private_file(Path(str(url.database)))
    # hide_parameters: values never reach a message or a log of SQLAlchemy
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"), hide_parameters=True, connect_args={"timeout": WAIT_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not decide where a transaction begins; we do, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "recursive_triggers=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        wants_to_write = connection.get_execution_options().get("gla_write", False)
        connection.exec_driver_sql(f"PRAGMA query_only={'OFF' if wants_to_write else 'ON'}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if wants_to_write else "BEGIN")

    return engine


def _create_private_file(path: Path) -> None:
    """Never opens one that exists: to close it would let go of every lock that this process has on it (POSIX), and
    another process would then take the write-ahead log away from under our connections (sqlite.org/howtocorrupt.html).
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            with suppress(FileExistsError):  # another was first
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        return
    except OSError as error:
        reason = type(error).__name__
    raise LedgerUnavailable(f"the database file cannot be opened ({reason}): check its folder")


def _open_postgresql(url: URL) -> Engine:
    milliseconds = WAIT_SECONDS * 1000
    # a worker that hangs inside a transaction would keep every other one waiting, so the server ends it
    limits = f"-c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={2 * milliseconds}"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,  # a restarted server costs a reconnect, not a delivery
        connect_args={"connect_timeout": 10, "application_name": "gla", "options": limits},
    )


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    return None if revision is None else str(revision)


def _newest_revision() -> str:
    """The number in the newest file name, so that the usual start does not have to import Alembic (0.25 s)."""
    names = (entry.name for entry in (_MIGRATIONS / "versions").iterdir())
    return max(name[:4] for name in names if name[:4].isdigit() and name.endswith(".py"))


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see _newest_revision
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    with resources.as_file(_MIGRATIONS) as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
            return
        except CommandError:
            pass
    raise LedgerUnavailable("the database was made by a newer version of this program: use that version")
