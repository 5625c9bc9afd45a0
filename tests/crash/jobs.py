"""What a child of the nursery can be told to do."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import hypothesis
from pandera.backends.polars.register import register_polars_backends
from sqlalchemy import Engine, event

from core.errors import GlaError
from core.period import Period
from flows.steps import path
from flows.steps.order import Order
from tests.crash import scenarios
from tests.crash.nursery import Child
from tests.crash.points import Points
from tests.delivery_world import AGREEMENT

Tell = Callable[[Any], None]

register_polars_backends()  # and hypothesis, which that asks for: imported here, and not in every child
assert hypothesis


def prepare(tell: Tell, scenario: str, folder: str, url: str | None) -> None:
    """Make the world of a scenario, and tell when its first try begins."""
    scenarios.prepare(scenario, Path(folder), url)
    tell(scenarios.WORLDS[scenario].starts.isoformat())


def attempt(
    tell: Tell,
    scenario: str,
    template: str,
    home: str,
    url: str | None,
    at: str,
    chosen: str | None,
    how: str = "SIGKILL",
    pages: int | None = None,
) -> None:
    """Do what the scenario does, and be stopped at the point `chosen`. Tells what stood there before, each point, and
    if it comes to an end what came of it. `pages`: how many more SQLite may write before the disk is full.
    """
    services = scenarios.services_of(Path(home), url, datetime.fromisoformat(at))
    tell({"before": scenarios.glimpse(services)})
    if pages is not None:
        _limit(services.engine, pages)

    def stop() -> None:
        os.kill(os.getpid(), getattr(signal, how))

    points = Points(Path(home), lambda name, state: tell({"point": name, "state": state}), chosen, stop)
    points.watch()
    result = scenarios.SCENARIOS[scenario].do(services)
    points.end()
    tell({"result": result, "after": scenarios.glimpse(services), "end": scenarios.end(services, Path(template))})


def _limit(engine: Engine, more: int) -> None:
    with engine.connect() as connection:
        most = connection.exec_driver_sql("PRAGMA page_count").scalar_one() + more
    engine.dispose()

    @event.listens_for(engine, "connect")
    def limited(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count={most}")


def look(tell: Tell, template: str, home: str, url: str | None, at: str) -> None:
    """Tell how a world stands at the end."""
    services = scenarios.services_of(Path(home), url, datetime.fromisoformat(at))
    tell(scenarios.end(services, Path(template)))


def storm(home: str, url: str | None, at: str, orders: list[list[str]]) -> list[Any]:
    """A process for each list of periods, all of which begin at one moment; what each was told of each period."""
    ready, gate = os.pipe(), os.pipe()
    moment = datetime.fromisoformat(at)

    def deliver(periods: list[str], tell: Tell) -> None:
        services = scenarios.services_of(Path(home), url, moment)
        os.close(gate[1])
        os.write(ready[1], b".")
        os.read(gate[0], 1)  # until the nursery closes the other end
        for period in periods:
            order = Order(AGREEMENT, Period.parse(period), "tester")
            try:
                tell([period, path.run(services, order).result])
            except GlaError as error:
                tell([period, error.code])

    children = [Child(partial(deliver, periods)) for periods in orders]
    for _ in children:
        os.read(ready[0], 1)
    for descriptor in (*ready, *gate):
        os.close(descriptor)
    return [child.ended() for child in children]
