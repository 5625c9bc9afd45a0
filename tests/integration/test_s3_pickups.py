"""What recipients fetch from a real Ceph gateway is read from its log: whole, in ranges, by link; ours is left out."""

from __future__ import annotations

import json
import time
import urllib.request

import pytest

from core.ids import new_id
from flows.steps import path
from flows.steps.s3_pickups import record_s3_log
from flows.steps.seal import Sealed
from ledger.history import history
from ledger.states import State
from tests.delivery_world import AGREEMENT, MARCH, World, make_world, world
from tests.servers.ceph import S3Server, s3

__all__ = ["make_world", "s3", "world"]
pytestmark = pytest.mark.server

OWN = frozenset({"tester"})
PREFIX = f"{AGREEMENT}/2026-03/edition-1"


class Bucket:
    """A delivery as it stands in S3, its recipient's own user there, and what the gateway wrote since."""

    def __init__(self, fund: World, s3: S3Server) -> None:
        self.fund, self.s3, self.name = fund, s3, f"b{new_id()}"
        self.ours = s3.client()
        self.ours.create_bucket(Bucket=self.name)
        delivery = fund.services.ledger.get(AGREEMENT, MARCH, 1)
        assert delivery is not None
        self.files = {name: size for name, (size, _) in Sealed.from_json(str(delivery.sealed)).files.items()}
        for name in self.files:
            self.ours.put_object(
                Bucket=self.name, Key=f"far/{PREFIX}/{name}", Body=(fund.published() / name).read_bytes()
            )

    def theirs(self, name: str, asked: str | None = None) -> int:
        """Fetched by link, as a recipient without an account does; the number of bytes."""
        where = {"Bucket": self.name, "Key": f"far/{PREFIX}/{name}"}
        url = self.ours.generate_presigned_url("get_object", Params=where, ExpiresIn=600)
        request = urllib.request.Request(url, headers={"Range": asked} if asked else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return len(answer.read())

    def lines(self) -> list[str]:
        """All that the gateway wrote, up to a request that is made now."""
        mark = f"mark-{new_id()}"
        self.ours.list_objects_v2(Bucket=self.name, Prefix="x")
        self.ours.put_object(Bucket=self.name, Key=mark, Body=b"")
        end = time.monotonic() + 120
        while mark not in (text := self.s3.log.read_text(errors="replace")):
            assert time.monotonic() < end, "the gateway does not write its log"
            time.sleep(0.1)
        return [line for line in text.splitlines() if self.name in line]

    def record(self) -> int:
        return record_s3_log(self.fund.services, "dropzone", f"{self.name}/far", self.lines(), OWN)

    def state(self) -> State:
        found = self.fund.services.ledger.get(AGREEMENT, MARCH, 1)
        assert found is not None
        return found.state


@pytest.fixture
def bucket(world: World, s3: S3Server) -> Bucket:
    world.conclude()
    path.run(world.services, world.order())
    return Bucket(world, s3)


def test_a_delivery_that_was_fetched_whole_is_picked_up(bucket: Bucket) -> None:
    for name in bucket.files:
        bucket.theirs(name)
    assert bucket.record() == 5
    assert bucket.state() is State.PICKED_UP
    assert bucket.record() == 0, "the same log again"
    [first, *_] = [json.loads(it["detail"]) for it in bucket.fund.events() if it["action"] == "delivery.read"]
    assert (first["address"], first["by_link"], first["whole"]) == ("127.0.0.1", True, True)
    assert "Signature" not in json.dumps(bucket.fund.events(), default=str)


def test_ranges_that_together_are_the_whole_count_as_it(bucket: Bucket) -> None:
    data, size = "people.parquet.age", bucket.files["people.parquet.age"]
    for name in set(bucket.files) - {data}:
        bucket.theirs(name)
    bucket.theirs(data, "bytes=0-999")
    assert bucket.record() == 5
    assert bucket.state() is State.PUBLISHED
    assert [row.partly for row in history(bucket.fund.services.engine)] == [sum(bucket.files.values()) - size + 1000]
    bucket.theirs(data, "bytes=1000-")
    assert bucket.record() == 1
    assert bucket.state() is State.PICKED_UP


def test_what_we_read_back_ourselves_is_no_pickup(bucket: Bucket) -> None:
    for name in bucket.files:
        bucket.ours.get_object(Bucket=bucket.name, Key=f"far/{PREFIX}/{name}")["Body"].read()
    assert bucket.record() == 0
    assert bucket.state() is State.PUBLISHED
    lines = bucket.lines()
    assert record_s3_log(bucket.fund.services, "dropzone", f"{bucket.name}/far", lines, frozenset()) == 5


@pytest.mark.parametrize("elsewhere", ["another destination", "another bucket", "another prefix"])
def test_what_stands_elsewhere_is_passed_over(bucket: Bucket, elsewhere: str) -> None:
    bucket.theirs("manifest.json")
    destination, root = {
        "another destination": ("far", f"{bucket.name}/far"),
        "another bucket": ("dropzone", f"{bucket.name}x/far"),
        "another prefix": ("dropzone", f"{bucket.name}/fa"),
    }[elsewhere]
    assert record_s3_log(bucket.fund.services, destination, root, bucket.lines(), OWN) == 0


def test_objects_that_are_no_part_of_a_delivery_are_passed_over(bucket: Bucket) -> None:
    names = (f"far/{PREFIX}/absent.age", "far/GLA-9/2026-03/edition-1/manifest.json", f"far/x/{PREFIX}/manifest.json")
    for name in names:
        bucket.ours.put_object(Bucket=bucket.name, Key=name, Body=b"x")
        bucket.ours.get_object(Bucket=bucket.name, Key=name)["Body"].read()
    lines = bucket.lines()
    assert any("GLA-9" in line for line in lines)
    assert record_s3_log(bucket.fund.services, "dropzone", f"{bucket.name}/far", lines, frozenset()) == 0
