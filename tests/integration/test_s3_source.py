"""A dataset in a real S3: only what is needed is fetched, and what may go wrong."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from core.errors import SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.sources.dataset import DatasetSource
from flows.sources.plan import ExtractionPlan, PlannedColumn
from flows.sources.registry import Sources
from flows.sources.s3 import S3Place
from tests.servers.ceph import S3Server
from tests.servers.proxy import CuttableProxy
from tests.source_worlds import Bucket

pytestmark = pytest.mark.server

ROWS = 50_000
IMPATIENT = SourceSettings(connect_seconds=1, idle_seconds=1)
PLAN = ExtractionPlan((PlannedColumn("n", "n", pl.Int64()),))


@pytest.fixture
def bucket(tmp_path: Path, s3: S3Server) -> Bucket:
    """A small column, and one of 5 MB that does not compress, in one piece."""
    made = Bucket(tmp_path, s3)
    content = io.BytesIO()
    frame = pl.DataFrame({"n": range(ROWS), "secret": [os.urandom(100) for _ in range(ROWS)]})
    frame.write_parquet(content, row_group_size=ROWS)
    made.client.put_object(Bucket=made.bucket, Key="some/people/part.parquet", Body=content.getvalue())
    return made


@pytest.fixture
def wire(s3: S3Server) -> Iterator[CuttableProxy]:
    with CuttableProxy(int(s3.endpoint.rpartition(":")[2])) as proxy:
        yield proxy


def place(bucket: Bucket) -> S3Place:
    source = bucket.source
    assert isinstance(source, DatasetSource)
    assert isinstance(source.place, S3Place)
    return source.place


def over(bucket: Bucket, wire: CuttableProxy) -> DatasetSource:
    return DatasetSource("src", replace(place(bucket), endpoint=f"http://127.0.0.1:{wire.port}"))


def test_only_the_bytes_of_the_planned_columns_are_fetched(bucket: Bucket, wire: CuttableProxy) -> None:
    stored = sum(int(each.split()[0]) for each in place(bucket).files().values())
    assert pl.concat(over(bucket, wire).batches(PLAN))["n"].to_list() == list(range(ROWS))
    assert wire.answered < stored / 4


@pytest.mark.parametrize("key", ["wrong:geheim", "geheim", ""])
def test_a_key_that_is_wrong_is_not_shown(bucket: Bucket, key: str) -> None:
    source = DatasetSource("src", replace(place(bucket), key=lambda: key))
    for ask in (source.schema, lambda: list(source.batches(PLAN))):
        with pytest.raises((SourceUnavailable, UnusableInput)) as caught:
            ask()
        assert "geheim" not in str(caught.value)
        assert caught.value.__context__ is None


def test_a_bucket_that_is_not_there_is_unavailable(bucket: Bucket) -> None:
    with pytest.raises(SourceUnavailable):
        DatasetSource("src", replace(place(bucket), location="absent/people")).schema()


def test_a_server_that_is_not_there_is_unavailable(bucket: Bucket) -> None:
    gone = replace(place(bucket), endpoint="http://127.0.0.1:1")
    with pytest.raises(SourceUnavailable):
        DatasetSource("src", gone).schema()


def test_connections_that_break_again_and_again_are_an_error(bucket: Bucket, s3: S3Server) -> None:
    """Every connection ends before a column was fetched: what is asked again ends in the same way."""
    with CuttableProxy(int(s3.endpoint.rpartition(":")[2]), every=60_000) as wire, pytest.raises(SourceUnavailable):
        list(over(bucket, wire).batches(PLAN))


def test_a_registered_bucket_is_read_with_the_key_from_its_place(bucket: Bucket, s3: S3Server, tmp_path: Path) -> None:
    def reveal(reference: str) -> str:
        assert reference == "env:S3_KEY"
        return f"{s3.access_key}:{s3.secret_key}"

    sources = Sources(tmp_path / "config", reveal)
    sources.add("src", f"s3://{bucket.bucket}/some/people", endpoint=s3.endpoint, secret="env:S3_KEY")
    assert s3.secret_key not in (tmp_path / "config" / "sources.json").read_text()
    assert sum(frame.height for frame in sources.get("src").batches(PLAN)) == ROWS


@pytest.mark.parametrize("answers", [0, 20_000], ids=["before the listing", "inside a column"])
def test_a_server_that_falls_silent_is_given_up(bucket: Bucket, wire: CuttableProxy, answers: int) -> None:
    hasty = replace(place(bucket), endpoint=f"http://127.0.0.1:{wire.port}", limits=IMPATIENT)
    wire.pause_after(answers)
    started = time.monotonic()
    with pytest.raises(SourceUnavailable):
        list(DatasetSource("src", hasty).batches(PLAN))
    assert time.monotonic() - started < 60
