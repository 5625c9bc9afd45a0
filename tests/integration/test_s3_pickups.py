"""What recipients fetch from a real Ceph gateway is read from its log: whole, in ranges, by link; ours is left out."""

from __future__ import annotations

import json
import time
import urllib.request
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from apps.cli.receipt import receipt
from core.errors import UnusableInput
from core.ids import new_id
from flows.steps import path
from flows.steps.links import links
from flows.steps.retention import remove_what_is_over
from flows.steps.s3_pickups import record_s3_log
from flows.steps.seal import Sealed
from ledger.history import history
from ledger.states import State
from tests.delivery_world import AGREEMENT, MARCH, NOW, World, make_world, world
from tests.servers.ceph import S3Server
from transports.registration import S3Registration

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server

OWN = frozenset({"tester"})
FAR = "far"
FOLDER = f"{AGREEMENT}/2026-03/edition-1"


class Bucket:
    """A delivery that was published to S3, links with which its recipient fetches it, and what the gateway wrote."""

    def __init__(self, fund: World, s3: S3Server, folder: Path) -> None:
        self.fund, self.s3, self.name = fund, s3, f"b{new_id()}"
        self.ours = s3.client()
        self.ours.create_bucket(Bucket=self.name)
        secret = folder / "s3.key"
        secret.write_text(f"{s3.access_key}:{s3.secret_key}")
        secret.chmod(0o600)
        told = S3Registration(uri=f"s3://{self.name}/some/partner", endpoint=s3.endpoint, secret=f"file:{secret}")
        fund.services.destinations.add(FAR, told)
        fund.conclude(fund.document(destination=FAR))
        path.run(fund.services, fund.order())
        delivery = fund.services.ledger.get(AGREEMENT, MARCH, 1)
        assert delivery is not None
        self.files = {name: size for name, (size, _) in Sealed.from_json(str(delivery.sealed)).files.items()}
        self.links = dict(links(fund.services, AGREEMENT, MARCH, 1, 1))

    def theirs(self, name: str, asked: str | None = None) -> int:
        """Fetched by link, as a recipient without an account does; the number of bytes."""
        request = urllib.request.Request(self.links[name], headers={"Range": asked} if asked else {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return len(answer.read())

    def lines(self) -> list[str]:
        """What the gateway wrote about the bucket, up to a request that is made now."""
        mark = f"mark-{new_id()}"
        self.ours.put_object(Bucket=self.name, Key=mark, Body=b"")
        end = time.monotonic() + 120
        while mark not in (text := self.s3.log.read_text(errors="replace")):
            assert time.monotonic() < end, "the gateway does not write its log"
            time.sleep(0.1)
        return [line for line in text.splitlines() if self.name in line]

    def record(self) -> int:
        return record_s3_log(self.fund.services, FAR, self.lines(), OWN)

    def state(self) -> State:
        found = self.fund.services.ledger.get(AGREEMENT, MARCH, 1)
        assert found is not None
        return found.state


@pytest.fixture
def bucket(world: World, s3: S3Server, tmp_path: Path) -> Bucket:
    return Bucket(world, s3, tmp_path)


def test_a_delivery_that_was_fetched_whole_is_picked_up(bucket: Bucket) -> None:
    assert bucket.record() == 0, "we have read it back ourselves, to see what landed"
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


def test_what_our_user_reads_counts_only_where_it_is_somebody_elses(bucket: Bucket) -> None:
    key = f"some/partner/{FOLDER}/manifest.json"
    bucket.ours.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    lines = bucket.lines()
    assert record_s3_log(bucket.fund.services, FAR, lines, OWN) == 0
    assert record_s3_log(bucket.fund.services, FAR, lines, frozenset({"another"})) > 0


def test_what_is_about_something_else_is_passed_over(bucket: Bucket) -> None:
    for name in (f"some/partner/{FOLDER}/absent.age", "some/partner/GLA-9/2026-03/edition-1/manifest.json",
                 f"some/{FOLDER}/manifest.json", f"some/partner/x/{FOLDER}/manifest.json"):  # fmt: skip
        bucket.ours.put_object(Bucket=bucket.name, Key=name, Body=b"x")
        bucket.ours.get_object(Bucket=bucket.name, Key=name)["Body"].read()
    lines = [
        line for line in bucket.lines() if "GET" in line and ("absent" in line or "GLA-9" in line or "/x/" in line)
    ]
    assert len(lines) == 3
    assert record_s3_log(bucket.fund.services, FAR, lines, frozenset()) == 0
    bucket.theirs("manifest.json")
    other = S3Registration(uri=f"s3://{bucket.name}/some/other", endpoint=bucket.s3.endpoint, secret="env:X")
    bucket.fund.services.destinations.add("other", other)
    assert record_s3_log(bucket.fund.services, "other", bucket.lines(), OWN) == 0
    with pytest.raises(UnusableInput, match="not registered"):
        record_s3_log(bucket.fund.services, "absent", [], OWN)


def test_the_command_reads_a_log_once(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bucket.theirs("manifest.json")
    log = tmp_path / "client.rgw.log"
    log.write_text("\n".join(bucket.lines()) + "\n\udcff\n", errors="surrogateescape")
    monkeypatch.setattr("flows.wiring.open_services", lambda _: bucket.fund.services)
    for told in ("1 reading recorded", "0 readings recorded"):
        shown = CliRunner().invoke(receipt, ["s3-log", "--destination", FAR, "--own", "tester", str(log)])
        assert told in shown.output, (shown.output, shown.exception)


def test_what_is_over_is_removed_from_the_bucket(bucket: Bucket) -> None:
    bucket.fund.at(NOW + timedelta(days=30))
    assert remove_what_is_over(bucket.fund.services).gone == [f"{AGREEMENT}/2026-03/1"]
    assert bucket.ours.list_objects_v2(Bucket=bucket.name).get("KeyCount") == 0
    assert bucket.state() is State.EXPIRED
