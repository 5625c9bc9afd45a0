"""Clocks that jump, and the two nights on which the hour is not what it was: nothing is lost, nothing comes twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.errors import DeliveryBusy
from core.period import Period
from flows.steps import path
from flows.steps.order import Order
from flows.steps.planning import due_deliveries
from ledger.deliveries import LONGEST_LEASE
from tests.delivery_world import AGREEMENT, MARCH, NOW, World, make_world_in

NIGHTS = {"to summer": datetime(2026, 3, 29, 1, tzinfo=UTC), "to winter": datetime(2026, 10, 25, 1, tzinfo=UTC)}
LEASE = timedelta(seconds=120)


@pytest.fixture(autouse=True)
def amsterdam(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine itself keeps Dutch time, so that whoever asks it for local time is found out."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Amsterdam")
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def jumping(world: World) -> World:
    world.conclude()
    return world


def claim(world: World, worker: str = "another") -> Any:
    return world.services.ledger.claim(
        AGREEMENT, MARCH, 1, worker=worker, lease_seconds=120, actor="tester", reason=None,
        agreement_digest="0" * 64, recipient="fonds", product="people",
    )  # fmt: skip


def jump_while(name: str, happening: Any) -> Any:
    """A step runner that lets something happen just before the step `name`."""

    def step(step_name: str, function: Any, *given: Any) -> Any:
        if step_name == name:
            happening()
        return function(*given)

    return step


def published(world: World) -> int:
    return [event["action"] for event in world.events()].count("delivery.published")


@pytest.mark.parametrize("jump", [timedelta(days=-20), timedelta(hours=1), timedelta(days=3)])
@pytest.mark.parametrize("step", ["extract, validate, seal", "publish", "record"])
def test_a_clock_that_jumps_in_mid_delivery_changes_nothing(tmp_path: Path, step: str, jump: timedelta) -> None:
    world = make_world_in(tmp_path, lambda: NOW - timedelta(days=30))()
    world.conclude()
    now = [NOW]
    world.at(NOW)
    services = world.services
    ticking = _with_clock(services, lambda: now[0])
    outcome = path.run(ticking, world.order(), jump_while(step, lambda: now.append(now.pop() + jump)))
    assert (outcome.rows, published(world)) == (310, 1)
    again = path.run(ticking, world.order())
    assert again.done_before


def _with_clock(services: Any, clock: Any) -> Any:
    return replace(services, clock=clock, ledger=replace(services.ledger, clock=clock))


def test_a_lease_of_before_the_clock_was_set_back_holds_up_nobody(jumping: World) -> None:
    """A worker on a machine whose clock was years ahead died; without this its delivery would wait for years."""
    jumping.at(NOW + timedelta(days=900))
    claim(jumping, "doomed")
    jumping.at(NOW)
    assert path.run(jumping.services, jumping.order()).rows == 310
    assert published(jumping) == 1


def test_a_live_worker_on_a_machine_whose_clock_is_ahead_keeps_its_delivery(jumping: World) -> None:
    jumping.at(NOW + LONGEST_LEASE)
    claim(jumping, "ahead")
    jumping.at(NOW)
    with pytest.raises(DeliveryBusy):
        claim(jumping)


@pytest.mark.parametrize("night", NIGHTS)
def test_a_lease_lasts_as_long_on_the_night_that_the_hour_changes(jumping: World, night: str) -> None:
    begins = NIGHTS[night] - timedelta(seconds=30)
    jumping.at(begins)
    held = claim(jumping, "first")
    jumping.at(begins + LEASE - timedelta(seconds=1))
    with pytest.raises(DeliveryBusy):
        claim(jumping)
    jumping.services.ledger.heartbeat(held)
    jumping.at(begins + 2 * LEASE)
    assert claim(jumping).token == held.token + 1


@pytest.mark.parametrize("night", NIGHTS)
def test_whoever_looks_every_hour_of_that_night_delivers_each_day_once(tmp_path: Path, night: str) -> None:
    changes = NIGHTS[night]
    world = make_world_in(tmp_path, lambda: changes - timedelta(days=1))(3_100)
    document = world.document(validFrom=str(changes.date() - timedelta(days=2)))
    document["slaProperties"] = [{"property": "frequency", "value": 1, "unit": "day"}]
    world.conclude(document)
    delivered: list[str] = []
    for hours in range(-8, 30):
        world.at(changes + timedelta(hours=hours))
        due, problems = due_deliveries(world.services)
        assert problems == []
        for each in (each for each in due if each.at <= world.services.clock()):
            order = Order(AGREEMENT, each.period, "planning")
            assert not path.run(world.services, order).done_before
            delivered.append(str(each.period))
    night_of = changes.date()
    days = [night_of - timedelta(days=2), night_of - timedelta(days=1), night_of]
    assert delivered == [str(Period.parse(str(day))) for day in days]
    assert published(world) == 3
