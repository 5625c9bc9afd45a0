"""A delivery in parts: their sizes, and what becomes of complete ones when an attempt breaks off."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from core.errors import RowsInvalid, SourceUnavailable
from flows.steps import path
from keys.private.opening import open_envelope
from tests.delivery_world import AMOUNT, MARCH, NOW

ROWS = 5_500
STEP = 1_000  # rows of a part

WORKER = """
import os, signal, sys
from datetime import datetime
import flows.sources.base
flows.sources.base.BATCH_ROWS = 500
from core.period import Period
from core.settings import Settings
from flows.steps import path
from flows.steps.order import Order
from flows.wiring import open_services

def progress(rows, size):
    if rows >= 3_500:
        while len(list(services.settings.staging_dir.glob("*/.open-*/*.age"))) < 4 or not complete():
            pass
        os.kill(os.getpid(), signal.SIGKILL)

def complete():
    return any(b"part-0003" in each.read_bytes() for each in services.settings.staging_dir.glob("*/*/parts.json"))

services = open_services(Settings(), lambda: datetime.fromisoformat(sys.argv[1]))
path.run(services, Order("GLA-2026-0007", Period.parse("2026-03"), "tester"), progress=progress)
"""


def march(rows: int, **columns: object) -> pl.DataFrame:
    """Rows of one month with the columns of the world's source."""
    numbers = np.arange(rows)
    return pl.DataFrame(
        {
            "id": numbers + 1,
            "day": [date(2026, 3, 1) + timedelta(days=int(number) % 31) for number in numbers],
            "amount": numbers + AMOUNT,
            "note": [f"nota-{number:06d}" for number in numbers],
            "secret": [f"geheim-{number:06d}" for number in numbers],
            **columns,
        }
    )


@pytest.fixture
def parted(world, monkeypatch):
    """A concluded agreement that asks for parts of a thousand rows, from batches of five hundred."""
    monkeypatch.setattr("flows.sources.base.BATCH_ROWS", 500)
    march(ROWS).write_parquet(world.source)
    world.conclude(world.document(parts={"rows": STEP}))
    return world


def delivered(world) -> list[pl.DataFrame]:
    """What the recipient has in each part, by name."""
    opened = []
    for file in sorted(world.published().glob("people*.age")):
        with file.open("rb") as source, open_envelope(source, [world.identity]) as plain:
            opened.append(pl.read_parquet(io.BytesIO(plain.read())))
    return opened


def killed(world) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, NOW.isoformat()],
        env={"GLA_HOME": str(world.home), "PATH": os.environ["PATH"]},
        cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr


def after_the_lease(world) -> None:
    world.at(NOW + timedelta(seconds=world.services.settings.delivery.lease_seconds + 1))


def test_each_part_has_the_agreed_rows_and_all_rows_are_there_in_order(parted):
    outcome = path.run(parted.services, parted.order())
    parts = delivered(parted)
    assert [part.height for part in parts] == [STEP] * 5 + [500]
    assert pl.concat(parts)["id"].to_list() == list(range(1, ROWS + 1)) == list(range(1, outcome.rows + 1))
    names = [file["filename"] for file in json.loads((parted.published() / "manifest.json").read_bytes())["files"]]
    assert names[:-2] == [f"people.part-{number:04d}.parquet.age" for number in range(1, 7)]


def test_a_worker_that_dies_loses_only_the_part_that_is_open(parted):
    killed(parted)
    [left] = parted.services.settings.staging_dir.glob("*/.open-*")
    complete = {each["sealed"]["filename"] for each in json.loads((left / "parts.json").read_bytes())["parts"]}
    before = {name: (left / name).read_bytes() for name in complete}
    after_the_lease(parted)
    path.run(parted.services, parted.order())
    assert len(before) >= 3
    assert {name: (parted.published() / name).read_bytes() for name in before} == before
    assert pl.concat(delivered(parted))["id"].to_list() == list(range(1, ROWS + 1))


def test_a_run_that_is_cancelled_is_gone_on_with(parted):
    def cancel(rows, _size):
        if rows >= 4_500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        path.run(parted.services, parted.order(), progress=cancel)
    assert parted.visible_files() == []
    [left] = parted.services.settings.staging_dir.glob("*/.open-*")
    complete = {each["sealed"]["filename"] for each in json.loads((left / "parts.json").read_bytes())["parts"]}
    before = {name: (left / name).read_bytes() for name in complete}
    path.run(parted.services, parted.order())
    assert before
    assert {name: (parted.published() / name).read_bytes() for name in before} == before
    assert pl.concat(delivered(parted))["id"].to_list() == list(range(1, ROWS + 1))


@pytest.mark.parametrize("form", ["csv", "csv.gz", "csv.zst", "fixed"])
def test_every_format_comes_in_parts(world, form):
    march(ROWS).write_parquet(world.source)
    document = world.document(parts={"rows": STEP}, format=form, sums=["amount"])
    for column in document["schema"][0]["properties"]:
        if column["logicalType"] == "integer":
            column["logicalTypeOptions"] = {"minimum": 0, "maximum": 10**15}
        if column["logicalType"] == "string":
            column["logicalTypeOptions"] = {"maxLength": 12}
    world.conclude(document)
    assert path.run(world.services, world.order()).rows == ROWS
    [manifest] = [json.loads((world.published() / "manifest.json").read_bytes())]
    assert [file["filename"] for file in manifest["files"]][:-2] == [
        f"people.part-{number:04d}.{form}.age" for number in range(1, 7)
    ]


def test_parts_of_another_state_of_the_source_are_not_kept(parted):
    killed(parted)
    march(ROWS, amount=np.arange(ROWS) + AMOUNT + 1).write_parquet(parted.source)
    after_the_lease(parted)
    with pytest.raises(SourceUnavailable, match="other rows than when this delivery was begun"):
        path.run(parted.services, parted.order())
    assert parted.visible_files() == []
    path.run(parted.services, parted.order())
    assert pl.concat(delivered(parted))["amount"].min() == AMOUNT + 1


def test_a_part_that_was_damaged_since_is_made_again(parted):
    killed(parted)
    [left] = parted.services.settings.staging_dir.glob("*/.open-*")
    damaged = left / "people.part-0002.parquet.age"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    after_the_lease(parted)
    path.run(parted.services, parted.order())
    assert pl.concat(delivered(parted))["id"].to_list() == list(range(1, ROWS + 1))


def test_of_a_delivery_that_is_refused_no_part_stays(world, monkeypatch):
    monkeypatch.setattr("flows.sources.base.BATCH_ROWS", 500)
    march(ROWS, id=pl.Series([*range(1, ROWS), 1], dtype=pl.Int64)).write_parquet(world.source)
    document = world.document(parts={"rows": STEP})
    document["schema"][0]["properties"][0]["unique"] = True
    world.conclude(document)
    with pytest.raises(RowsInvalid):
        path.run(world.services, world.order())
    assert not list(world.services.settings.staging_dir.glob("*/*/*"))
    assert world.visible_files() == []


def test_a_part_is_at_most_as_many_bytes_as_agreed(world):
    most, rows = 8 * 1024 * 1024, 2_000_000
    noise = np.random.default_rng(1).integers(0, 2**62, rows)
    pl.DataFrame(
        {"id": noise, "day": [date(2026, 3, 1)] * rows, "amount": noise[::-1], "note": ["x"] * rows}
    ).write_parquet(world.source)
    world.conclude(world.document(parts={"bytes": most}))
    path.run(world.services, world.order(period=MARCH))
    sizes = [file.stat().st_size for file in sorted(world.published().glob("people*.age"))]
    assert len(sizes) >= 4
    assert max(sizes) <= most
    assert min(sizes[:-1]) > most // 2
    assert pl.concat(delivered(world))["id"].equals(pl.Series("id", noise))
