"""What a child of the nursery can be told to do."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
from pandera.backends.polars.register import register_polars_backends
from sqlalchemy import Engine, event

from core.errors import GlaError
from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.order import Order
from flows.steps.recipients import register
from flows.wiring import open_services
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from schemas import pakbon_page
from tests.crash import scenarios
from tests.crash.nursery import Child
from tests.crash.points import Points
from tests.delivery_world import AGREEMENT, RECIPIENT

Tell = Callable[[Any], None]

register_polars_backends()  # and hypothesis, which that asks for: imported here, and not in every child
assert hypothesis


def warm() -> None:
    """Do once, and not in every child, what costs most the first time: statements, templates and keys. No query."""
    with TemporaryDirectory() as folder:
        services = open_services(Settings(home=Path(folder) / "home"))
        seals, signs = str(generate_identity("x25519").recipient), Signer.generate().public_key.line
        register(services, RECIPIENT, "90000102", [seals], [signs])
        services.engine.dispose()
    pakbon_page.template()


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


def script(_: Tell, code: str, arguments: list[str], home: str) -> None:
    """Run Python code as a program of its own, with GLA_HOME and arguments."""
    os.environ.clear()
    os.environ["GLA_HOME"] = home
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})


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
