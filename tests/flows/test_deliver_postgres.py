"""The same path with a real PostgreSQL behind it."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from core.errors import GlaError, RowsInvalid
from flows.steps import path
from flows.steps.order import Mode
from flows.steps.pickups import record_pickups
from flows.steps.planning import due_deliveries
from flows.steps.recipients import revoke
from ledger.history import Choice, history
from ledger.verify import verify

pytestmark = pytest.mark.server


@pytest.fixture
def world(make_world, postgresql_database):
    world = make_world(database_url=postgresql_database())
    yield world
    world.services.engine.dispose()


def test_a_delivery_its_correction_and_its_history(world):
    world.conclude()
    assert path.run(world.services, world.order()).rows == 310
    assert path.run(world.services, world.order()).done_before
    path.run(world.services, world.order(Mode.CORRECT, "once more"))
    path.run(world.services, world.order(Mode.REDELIVER, "lost"))
    rows = [asdict(row) for row in history(world.services.engine, Choice(recipient="fonds"))]
    assert [(row["edition"], row["state"], row["rows"], row["reason"]) for row in rows] == [
        (2, "published", 310, "lost"),
        (1, "superseded", 310, None),
    ]
    assert list(history(world.services.engine, Choice(recipient="other"))) == []
    assert not (world.home / "gla.db").exists()
    assert verify(world.services.engine, []).deliveries == 2


def test_an_edition_comes_again_while_its_correction_is_stopped(world):
    world.conclude()
    path.run(world.services, world.order())
    source = world.source.read_bytes()
    world.source.write_bytes(b"not a Parquet file")
    with pytest.raises(GlaError):
        path.run(world.services, world.order(Mode.CORRECT, "wrong"))
    world.source.write_bytes(source)
    assert path.run(world.services, world.order(Mode.REDELIVER, "lost")).edition == 1
    assert [(row.edition, row.reason) for row in history(world.services.engine)] == [(2, "wrong"), (1, "lost")]
    assert path.run(world.services, world.order()).edition == 2
    assert [row.state for row in history(world.services.engine)] == ["published", "superseded"]


def test_a_refusal_and_its_reason(world):
    document = world.document()
    document["schema"][0]["properties"][0]["logicalTypeOptions"] = {"maximum": 1}
    world.conclude(document)
    with pytest.raises(RowsInvalid):
        path.run(world.services, world.order())
    [row] = history(world.services.engine)
    assert (row.state, row.published) == ("refused", None)
    assert row.error is not None
    assert row.error.startswith("RowsInvalid")


def test_planning_keys_and_pickups(world):
    world.conclude()
    path.run(world.services, world.order())
    items, problems = due_deliveries(world.services)
    assert ([str(item.period) for item in items], problems) == (["2026-01", "2026-02", "2026-04"], [])
    revoke(world.services, "fonds", world.signer.public_key.fingerprint)
    assert record_pickups(world.services) == 0
    assert verify(world.services.engine, []).events == len(world.events())
