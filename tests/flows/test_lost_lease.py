"""A worker that stands still until its lease has run out and then goes on: whatever it still does, it does no harm.

And the database that goes away, or is full, while a delivery is under way: nothing is lost, and nothing is done twice.
"""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import pytest
from sqlalchemy import make_url

from tests.crash.fixtures import POSTGRESQL, SQLITE, copies, nurseries
from tests.crash.matrix import Copy, Matrix, no_database, points_of, problems
from tests.crash.nursery import Nursery
from tests.servers.postgres import PostgresServer
from tests.soak import examples

__all__ = ["copies", "nurseries"]

pytestmark = pytest.mark.timeout(1_800)  # seconds, on a machine with other work

LEAVE_OUT = examples(10, soak=1)  # of the points every tenth, in `make soak` every one
MOST = 40  # pages, or events, that a delivery may write
FULL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF nextval('room') > {more} THEN RAISE 'no space left on device' USING ERRCODE = 'disk_full'; END IF;
  RETURN NEW;
END $$;
CREATE SEQUENCE room;
CREATE TRIGGER no_room BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse();
"""  # what the server answers when its disk is full, from the event on that is the first too many


@pytest.mark.soak
@pytest.mark.parametrize("copies", [SQLITE, POSTGRESQL], indirect=True)
def test_a_worker_that_outlives_its_lease_changes_nothing(
    nurseries: SimpleQueue[Nursery], copies: Copy, tmp_path: Path
) -> None:
    matrix = Matrix(nurseries, tmp_path, "deliver", copies)
    found = [matrix.tried()]
    points = points_of(found[0])[:-1]  # at the end it has done everything
    chosen = {*points[::LEAVE_OUT], *(point for point in points if point.startswith("rename"))}
    found += [matrix.outlived(point, lambda another: another()) for point in points if point in chosen]
    assert len(found) > 6
    assert problems(found) == []


@pytest.mark.soak
@pytest.mark.server
@pytest.mark.parametrize("copies", [POSTGRESQL], indirect=True)
def test_a_database_that_restarts_in_mid_delivery_costs_a_run_at_most(
    nurseries: SimpleQueue[Nursery], copies: Copy, tmp_path: Path, postgresql_server: PostgresServer
) -> None:
    matrix = Matrix(nurseries, tmp_path, "deliver", copies)
    found = [matrix.tried()]
    commits = [point for point in points_of(found[0]) if point.startswith("commit")]
    commits += ["fsync staging/ID/.open-N/manifest.json #1"]  # and while no statement is under way
    chosen = commits[::3] if LEAVE_OUT > 1 else commits
    found += [matrix.outlived(point, lambda _: postgresql_server.restart()) for point in chosen]
    assert problems(found) == []


def test_a_full_disk_for_sqlite_costs_a_run_at_most(nurseries: SimpleQueue[Nursery], tmp_path: Path) -> None:
    matrix = Matrix(nurseries, tmp_path, "deliver", no_database)
    found = [matrix.tried()]
    for pages in range(MOST):
        tried = matrix.refused_a_page(matrix.world(), pages)
        if tried is None:
            break
        found.append(tried)
    assert 1 < len(found) <= MOST, "it was full, and with more room it was not"
    assert problems(found) == []


@pytest.mark.soak
@pytest.mark.server
@pytest.mark.parametrize("copies", [POSTGRESQL], indirect=True)
def test_a_full_disk_for_postgresql_costs_a_run_at_most(
    nurseries: SimpleQueue[Nursery], copies: Copy, tmp_path: Path, postgresql_server: PostgresServer
) -> None:
    matrix = Matrix(nurseries, tmp_path, "deliver", copies)
    found = [matrix.tried()]
    for more in range(0, MOST, LEAVE_OUT):
        world = matrix.world()
        database = str(make_url(world["url"]).database)
        with postgresql_server.connect(database) as connection:
            connection.execute(FULL.format(more=more))
            tried = matrix.refused_a_page(world, make_room=lambda: connection.execute("DROP TRIGGER no_room ON events"))
        if tried is None:
            break
        found.append(tried)
    assert 1 < len(found) <= MOST
    assert problems(found) == []
