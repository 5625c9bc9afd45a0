"""A list as long as the Netherlands has workers: nine million people in `make soak`, fewer in `make test`."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from flows.steps import path
from schemas.bsn import complete
from tests.delivery_world import AGREEMENT, make_world, world
from tests.participants_world import conclude, delivered, hand_in, sealed_for_us
from tests.soak import examples

__all__ = ["make_world", "world"]

PEOPLE = examples(200_000, soak=9_000_000)
ROWS = examples(100_000, soak=5_000_000)
pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def numbers() -> pl.Series:
    """So many valid numbers that begin with a 9, which by convention are for testing."""
    enough = PEOPLE + PEOPLE // 10 + 100
    prefixes = pl.int_range(100_000_000 - enough, 100_000_000, dtype=pl.UInt32, eager=True)
    return complete(prefixes).head(PEOPLE).shuffle(seed=1).cast(pl.String)


def listed(form: str) -> bytes:
    target = io.BytesIO()
    frame = numbers().to_frame("bsn")
    frame.write_csv(target) if form == "csv" else frame.write_parquet(target)
    return target.getvalue()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_long_list_is_taken_and_limits_a_delivery(world, form):
    people = numbers()
    clients = people.sample(ROWS, with_replacement=ROWS > PEOPLE, seed=2)
    others = complete(pl.int_range(90_000_000, 90_000_000 + ROWS // 10, dtype=pl.UInt32, eager=True)).cast(pl.String)
    every = pl.concat([clients, others.filter(~others.is_in(people.implode()))]).shuffle(seed=3)
    pl.DataFrame({"bsn": every}).with_columns(
        day=pl.date(2026, 3, 1), amount=pl.row_index().cast(pl.Int64)
    ).write_parquet(world.home / "clients.parquet")
    world.services.sources.add("clients", str(world.home / "clients.parquet"))
    conclude(world, AGREEMENT, participants={"column": "bsn", "maximum": PEOPLE})
    report = hand_in(world, sealed_for_us(world, listed(form)), f"deelnemers.{form}.age")
    assert (report.outcome, report.participants.people) == ("accepted", PEOPLE)
    path.run(world.services, world.order())
    left = delivered(world, world.published()).get_column("bsn")
    assert left.len() == ROWS
    assert left.is_in(people.implode()).all()


_MEASURE = """
import resource, sys
from pathlib import Path
from core.settings import Settings
from flows.steps.intake import Incoming, receive
from flows.wiring import open_services
services = open_services(Settings(home=Path(sys.argv[1])))
with open(sys.argv[2], "rb") as file:
    report = receive(
        services, Incoming("GLA-2026-0007", "fonds", Path(sys.argv[2]).name, file, "tester", vouched=True)
    )
assert report.outcome == "accepted", report.reason
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss begins at the parent's
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(report.participants.people, int(peak.split()[1]) // 1024, child // 1024)
"""
MOST_MB = 400  # nine million take 282


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_long_list_fits_the_memory_of_a_delivery(world, tmp_path: Path, form: str):
    world.services.sources.add("clients", str(world.source))
    clients = pl.DataFrame({"bsn": ["999990019"], "day": ["2026-03-01"], "amount": [1]})
    clients.with_columns(pl.col("day").str.to_date()).write_parquet(world.source)
    today = datetime.now(UTC)
    world.at(today)
    conclude(
        world,
        AGREEMENT,
        participants={"column": "bsn", "maximum": PEOPLE},
        validFrom=f"{today - timedelta(days=1):%Y-%m-%d}",
        validUntil=f"{today + timedelta(days=30):%Y-%m-%d}",
    )
    file = tmp_path / f"deelnemers.{form}.age"
    file.write_bytes(sealed_for_us(world, listed(form)))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(world.home), str(file)],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    people, after, child = map(int, done.stdout.split())
    print(f"{form}: {people} people, {after} MB, and {child} MB in the child")
    assert people == PEOPLE
    assert after < MOST_MB
    assert child < MOST_MB
