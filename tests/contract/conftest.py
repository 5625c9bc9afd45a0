"""The databases on which every store must behave the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from core.database import opened
from tests.servers.ceph import s3
from tests.servers.openssh import openssh
from tests.servers.postgres import postgresql_database, postgresql_server

__all__ = ["openssh", "postgresql_database", "postgresql_server", "s3"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database: SQLite in a folder that does not exist yet, and a real PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'home' / 'gla.db'}"
    create = request.getfixturevalue("postgresql_database")
    url: str = create()
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A migrated database."""
    with opened(database_url) as engine:
        yield engine
