"""The databases on which every store must behave the same."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from core.database import opened
from tests.servers.openssh import openssh

__all__ = ["openssh"]


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database that no test changes."""
    path = tmp_path_factory.mktemp("migrated") / "gla.db"
    with opened(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_database: Callable[..., str]) -> str:
    """The name of one that no test changes."""
    url = postgresql_database()
    with opened(url):
        pass
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: SQLite in a folder that does not exist yet, and a real PostgreSQL.

    Of a migrated one where the test asks for its `engine`: a copy, since to migrate takes longer than most tests.
    """
    migrated = "engine" in request.fixturenames
    if request.param == "sqlite":
        path = tmp_path / "home" / "gla.db"
        if migrated:
            path.parent.mkdir(mode=0o700)
            shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
        return f"sqlite:///{path}"
    create = request.getfixturevalue("postgresql_database")
    url: str = create(like=request.getfixturevalue("migrated_postgresql") if migrated else None)
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    with opened(database_url) as engine:
        yield engine
