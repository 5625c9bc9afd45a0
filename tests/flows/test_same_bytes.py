"""The same data gives the same plaintext, byte for byte: in any format, however it is stored, read and computed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from flows.sources import base
from flows.steps import path
from flows.steps.order import Mode, Order
from tests.delivery_world import AGREEMENT, MARCH, NOW
from tests.flows.test_mutations import CODE, mutation_document

FORMATS = ["parquet", "csv", "csv.gz", "csv.zst", "fixed"]
ROWS = 150
BATCH_ROWS = 45  # so that they are several batches
PROCESS = """
import sys
from datetime import datetime
from core.period import Period
from core.settings import Settings
from flows.sources import base
from flows.steps import path
from flows.steps.order import Mode, Order
from flows.wiring import open_services

base.BATCH_ROWS = int(sys.argv[1])
services = open_services(Settings(), lambda: datetime.fromisoformat(sys.argv[2]))
print(path.run(services, Order("GLA-2026-0007", Period.parse("2026-03"), "tester", Mode.CORRECT, "again")).same_as)
"""


@pytest.fixture
def world(make_world):
    return make_world(ROWS)


def limited(document):
    """The contract with a width for every column, as fixed width needs it."""
    options = {
        "id": {"minimum": 0, "maximum": 10**6},
        "amount": {"minimum": 0, "maximum": 10**14},
        "note": {"maxLength": 20},
        CODE: {"maxLength": 1},
    }
    for each in document["schema"][0]["properties"]:
        if each["name"] in options:
            each["logicalTypeOptions"] = options[each["name"]]
    return document


@pytest.fixture(params=["full", "mutations"])
def documents(request):
    """What the agreement says, but for the format."""
    if request.param == "mutations":
        return mutation_document
    return lambda world, **custom: world.document(filter=None, **custom)


def correct(world):
    return path.run(world.services, Order(AGREEMENT, MARCH, "tester", Mode.CORRECT, "again")).same_as


def in_another_process(world, batch_rows=BATCH_ROWS, **variables):
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(batch_rows), NOW.isoformat()],
        env={"GLA_HOME": str(world.home), "PATH": os.environ["PATH"]} | variables,
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("file_format", FORMATS)
def test_the_layout_of_the_source_threads_and_processes_make_no_difference(world, documents, file_format, monkeypatch):
    monkeypatch.setattr(base, "BATCH_ROWS", BATCH_ROWS)
    world.conclude(limited(documents(world, format=file_format)))
    path.run(world.services, world.order())
    rows = pl.read_parquet(world.source)
    rows.write_parquet(world.source, row_group_size=17, compression="uncompressed", statistics=False)
    assert correct(world) == 1
    rows.rechunk().write_parquet(world.source, row_group_size=1, use_pyarrow=False)
    assert correct(world) == 2
    assert in_another_process(world, POLARS_MAX_THREADS="1", PYTHONHASHSEED="1") == "3"
    assert in_another_process(world, POLARS_MAX_THREADS="7", PYTHONHASHSEED="2") == "4"
    rows.with_columns(amount=pl.col("amount") + (pl.col("id") == ROWS)).write_parquet(world.source)
    assert correct(world) is None, "one other value is other data"


def test_mutations_are_the_same_in_whatever_order_and_width_the_source_stores_the_rows(world, monkeypatch):
    monkeypatch.setattr(base, "BATCH_ROWS", BATCH_ROWS)
    world.conclude(limited(mutation_document(world, format="csv")))
    path.run(world.services, world.order())
    rows = pl.read_parquet(world.source)
    rows.sample(fraction=1, shuffle=True, seed=3).with_columns(pl.col("id").cast(pl.UInt16)).write_parquet(world.source)
    assert correct(world) == 1
    assert in_another_process(world, batch_rows=11) == "2"


def test_a_whole_state_asked_for_again_is_the_same_data(world):
    """Its fingerprints have another seed, and that is nowhere to be seen."""
    world.conclude(mutation_document(world))
    path.run(world.services, world.order())
    again = Order(AGREEMENT, MARCH, "tester", Mode.CORRECT, "lost", full=True)
    assert path.run(world.services, again).same_as == 1
