"""What the tests with killed and crowding processes share: nurseries, and copies of the database they are about."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue

import pytest
from sqlalchemy import make_url

from tests.crash.matrix import AT_ONCE, Copy, no_database
from tests.crash.nursery import Nursery
from tests.servers.postgres import PostgresServer

SQLITE = "sqlite"
POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.server)


@pytest.fixture(scope="module")
def nurseries() -> Iterator[SimpleQueue[Nursery]]:
    every = [Nursery() for _ in range(AT_ONCE)]
    waiting: SimpleQueue[Nursery] = SimpleQueue()
    for nursery in every:
        waiting.put(nursery)
    yield waiting
    for nursery in every:
        nursery.close()


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    only = Nursery()
    yield only
    only.close()


@pytest.fixture
def copies(request: pytest.FixtureRequest) -> Copy:
    """Of the database that a test is about."""
    if request.param == SQLITE:
        return no_database
    server: PostgresServer = request.getfixturevalue("postgresql_server")
    assert server
    create = request.getfixturevalue("postgresql_database")

    def copy(of: str | None) -> str:
        url: str = create(like=None if of is None else str(make_url(of).database))
        return url

    return copy
