"""Deliveries to a real S3 (Ceph): what may go wrong, what is left, and what the bucket can do by itself."""

from __future__ import annotations

import logging
import os
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import botocore.auth
import pytest
from botocore.exceptions import ClientError

from agreements.rules import AgreementState
from core import errors
from core.ids import new_id
from core.period import Period
from flows.steps import lifecycle, path
from flows.steps.links import links
from flows.steps.order import Mode
from tests.delivery_world import AGREEMENT, MARCH, make_world, world
from tests.publishing import publish_twice_at_once
from tests.servers.ceph import KMS_KEY, S3Server
from tests.servers.faulty_http import FAULTS, FaultyHttp
from transports import s3_client, s3_upload
from transports.base import Receipt, digested
from transports.publishing import has_appeared, publish
from transports.registration import S3Registration
from transports.s3 import S3Transport
from transports.s3_client import S3Destination
from transports.trying import checked

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server

DELIVERY = "GLA-1/2026-03/edition-1"
MARK = "manifest.json"
MIB = 1024 * 1024
STEP = 1 if os.environ.get("GLA_SOAK") == "1" else 9  # from one request that fails to the next


@pytest.fixture
def destination(s3: S3Server) -> S3Destination:
    bucket = f"b{new_id()}"
    s3.client().create_bucket(Bucket=bucket)
    key = f"{s3.access_key}:{s3.secret_key}"
    return S3Destination(s3.endpoint, "us-east-1", bucket, "some/partner", lambda: key, stall_seconds=20)


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyHttp]:
    with FaultyHttp(s3.endpoint) as server:
        yield server


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """One that is sent in three parts, one in a single request, and the mark."""
    monkeypatch.setattr(s3_upload, "_PART_BYTES", 5 * MIB)
    made = {name: tmp_path / name for name in ("data.age", "pakbon.json.age", MARK)}
    made["data.age"].write_bytes(os.urandom(11 * MIB))
    made["pakbon.json.age"].write_bytes(os.urandom(3000))
    made[MARK].write_bytes(b"{}")
    return made


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that fails is not tried again, so that a test of what fails for good is quick."""
    monkeypatch.setattr(s3_client, "_ATTEMPTS", 1)


def send(destination: S3Destination, files: dict[str, Path], token: str = "1") -> tuple[Receipt, ...]:
    with S3Transport(destination) as transport:
        return publish(transport, files, DELIVERY, token)


def whole(destination: S3Destination, files: dict[str, Path]) -> bool:
    """Whether a recipient finds the delivery, who then finds all of it; False if there is none."""
    with S3Transport(destination) as transport:
        if not has_appeared(transport, DELIVERY, MARK):
            return False
        assert transport.list(DELIVERY) == sorted(files)
        for name, source in files.items():
            assert b"".join(transport.read(f"{DELIVERY}/{name}")) == source.read_bytes()
    return True


def begun(s3: S3Server, destination: S3Destination) -> list[str]:
    found = s3.client().list_multipart_uploads(Bucket=destination.bucket)
    return [each["Key"] for each in found.get("Uploads", [])]


def test_what_is_sent_in_parts_is_the_same_file_and_only_so_many_parts_are_under_way(
    destination: S3Destination, faulty: FaultyHttp, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(41 * MIB))
    with S3Transport(replace(destination, endpoint=faulty.url, connections=3)) as transport:
        receipt = transport.put(source, "file.age")
        assert digested("file.age", transport.read("file.age")) == receipt
    parts = [request for request in faulty.requests if "partNumber" in request]
    assert len(parts) == 6
    assert faulty.most_at_once <= 3


# Faults


def requests_of_one(destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path]) -> list[str]:
    send(replace(destination, endpoint=faulty.url, prefix="first"), files)
    return list(faulty.requests)


@pytest.mark.soak
@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_from_any_request_on_shows_nothing_that_is_not_whole(
    s3: S3Server, destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path], fault: str
) -> None:
    count = len(requests_of_one(destination, faulty, files))
    assert count > 20
    appeared = 0
    for number in range(1 + FAULTS.index(fault), count + 1, STEP):
        there = replace(destination, prefix=f"{fault}/{number}")
        faulty.requests.clear()
        faulty.fails = lambda now, _request, first=number: fault if now >= first else None
        with pytest.raises(errors.DestinationUnreachable) as caught:
            send(replace(there, endpoint=faulty.url), files)
        assert caught.value.__context__ is None
        appeared += whole(there, files)
        receipts = send(there, files, "2")
        assert whole(there, files)
        assert [receipt.name for receipt in receipts] == list(files)
    assert begun(s3, destination) == []
    assert appeared <= 3, "it appears with its mark, which is read back and no more"


@pytest.mark.parametrize("fault", FAULTS)
def test_one_request_that_fails_is_tried_again(
    destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path], fault: str
) -> None:
    failed: set[str] = set()

    def first_of_each_kind(_number: int, request: str) -> str | None:
        kind = request.split(" ", maxsplit=1)[0] + ("part" if "partNumber" in request else "")
        if kind in failed or (fault == "lost" and kind == "POST"):  # a transfer is begun, or ended, once
            return None
        failed.add(kind)
        return fault

    faulty.fails = first_of_each_kind
    send(replace(destination, endpoint=faulty.url), files)
    assert {"GET", "PUT", "PUTpart", "HEAD"} <= failed
    assert whole(destination, files)


@pytest.mark.usefixtures("once")
def test_a_server_that_does_not_answer_is_given_up(
    destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path]
) -> None:
    faulty.fails = lambda _number, request: "stall" if "partNumber=2" in request else None
    with pytest.raises(errors.DestinationUnreachable):
        send(replace(destination, endpoint=faulty.url, stall_seconds=1), files)
    assert not whole(destination, files)


def test_after_a_cut_nothing_is_sent_again_that_is_there(
    destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path]
) -> None:
    there = replace(destination, endpoint=faulty.url)

    def gone(_receipts: object) -> None:
        raise errors.DestinationUnreachable("gone")

    with S3Transport(there) as transport, pytest.raises(errors.DestinationUnreachable):
        publish(transport, files, DELIVERY, "1", gone)
    faulty.requests.clear()
    send(there, files, "2")
    assert [request for request in faulty.requests if "PUT" in request] == [
        f"PUT /{destination.bucket}/some/partner/{DELIVERY}/{MARK}"
    ]


def test_a_transfer_that_was_never_ended_is_removed_by_the_next_attempt(
    s3: S3Server, destination: S3Destination, files: dict[str, Path]
) -> None:
    client, bucket = s3.client(), destination.bucket
    keys = [f"some/partner/{DELIVERY}/data.age", "some/partner/GLA-1/2026-03/edition-11/data.age"]
    for key in keys:
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=os.urandom(5 * MIB))
    send(destination, files)
    assert begun(s3, destination) == keys[1:], "and that of another delivery stays"
    assert whole(destination, files)


@pytest.mark.usefixtures("once")
def test_a_transfer_that_fails_is_removed_at_once(
    s3: S3Server, destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path]
) -> None:
    faulty.fails = lambda _number, request: "500" if "partNumber=3" in request else None
    with pytest.raises(errors.DestinationUnreachable):
        send(replace(destination, endpoint=faulty.url), files)
    assert begun(s3, destination) == []


def test_a_bucket_that_is_full_shows_nothing_and_keeps_nothing(
    s3: S3Server, destination: S3Destination, files: dict[str, Path]
) -> None:
    s3.admin("quota", "set", "--quota-scope=bucket", f"--bucket={destination.bucket}", f"--max-size={4 * MIB}")
    s3.admin("quota", "enable", "--quota-scope=bucket", f"--bucket={destination.bucket}")
    with pytest.raises(errors.StorageFull):
        send(destination, {"pakbon.json.age": files["pakbon.json.age"], **files})
    assert s3.client().list_objects_v2(Bucket=destination.bucket)["KeyCount"] == 0
    assert begun(s3, destination) == []


def test_a_clock_that_is_wrong_is_told_as_such(
    destination: S3Destination, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: now() + timedelta(hours=1))
    monkeypatch.setattr(s3_client, "utc_now", lambda: datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(errors.DestinationRefused, match="clock"):
        send(destination, files)


def test_who_has_the_wrong_key_or_names_no_bucket_is_refused(
    destination: S3Destination, files: dict[str, Path]
) -> None:
    access = destination.key().partition(":")[0]
    for other in (
        replace(destination, key=lambda: f"{access}:wrong"),
        replace(destination, key=lambda: "nobody:wrong"),
        replace(destination, bucket=f"b{new_id()}"),
    ):
        with pytest.raises(errors.DestinationRefused) as caught:
            send(other, files)
        assert caught.value.__context__ is None
        assert not caught.value.transient
    with pytest.raises(errors.UnusableInput, match="ACCESS_KEY_ID"):
        send(replace(destination, key=lambda: "no colon"), files)


def test_a_server_that_is_not_there_is_unreachable(destination: S3Destination, files: dict[str, Path]) -> None:
    with pytest.raises(errors.DestinationUnreachable):
        send(replace(destination, endpoint="http://127.0.0.1:9", connect_seconds=1), files)


def test_a_server_that_is_slow_is_waited_for(
    destination: S3Destination, faulty: FaultyHttp, files: dict[str, Path]
) -> None:
    faulty.fails = lambda _number, request: "slow" if "PUT" in request else None
    send(replace(destination, endpoint=faulty.url, stall_seconds=10), files)
    assert whole(destination, files)


def test_a_certificate_that_this_machine_does_not_trust_stops_a_delivery(
    s3: S3Server, destination: S3Destination, files: dict[str, Path], tmp_path: Path,
    require_program: Callable[[str], str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [require_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=far", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(key), "-out", str(made)],
        check=True, capture_output=True,
    )  # fmt: skip
    both = tmp_path / "both.pem"
    both.write_bytes(key.read_bytes() + made.read_bytes())
    with FaultyHttp(s3.endpoint, certificate=both) as server:
        there = replace(destination, endpoint=server.url)
        with pytest.raises(errors.DestinationRefused, match="certificate"):
            send(there, files)
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(made))
        send(there, files)
    assert whole(destination, files)


def test_two_publishers_at_once_leave_one_whole_delivery(destination: S3Destination, files: dict[str, Path]) -> None:
    publish_twice_at_once(lambda: S3Transport(destination), files, DELIVERY)
    if not whole(destination, files):  # each may have got into the other's way
        send(destination, files, "3")
    assert whole(destination, files)


def test_what_somebody_else_wrote_after_it_was_read_back_stops_the_delivery(
    destination: S3Destination, files: dict[str, Path], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(os.urandom(11 * MIB))

    def meanwhile(_receipts: object) -> None:
        with S3Transport(destination) as transport:
            transport.resume(other, f"{DELIVERY}/data.age")

    with S3Transport(destination) as transport, pytest.raises(errors.ReadBackMismatch, match="after it was read back"):
        publish(transport, files, DELIVERY, "1", meanwhile)
    assert not whole(destination, files)
    send(destination, files, "2")
    assert whole(destination, files)


def test_who_lost_the_delivery_removes_nothing_of_who_has_it_now(
    destination: S3Destination, files: dict[str, Path]
) -> None:
    def lost() -> None:
        raise errors.DeliveryBusy("another worker has it")

    def overtaken(_receipts: object) -> None:
        send(destination, files, "2")
        lost()

    with S3Transport(destination) as transport, pytest.raises(errors.DeliveryBusy):
        publish(transport, files, DELIVERY, "1", overtaken, lost)
    assert whole(destination, files)


# What the bucket does


def test_the_server_encrypts_what_it_stores_with_the_key_that_was_asked_for(
    s3: S3Server, destination: S3Destination, files: dict[str, Path]
) -> None:
    send(replace(destination, encryption=f"aws:kms:{KMS_KEY}"), files)
    for name in files:
        found = s3.client().head_object(Bucket=destination.bucket, Key=f"some/partner/{DELIVERY}/{name}")
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", KMS_KEY)
    assert whole(destination, files)


@pytest.fixture
def locking(s3: S3Server, destination: S3Destination) -> S3Destination:
    bucket = f"b{new_id()}"
    s3.client().create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return replace(destination, bucket=bucket, lock_days=2, lock_mode="COMPLIANCE")


def test_a_delivery_that_appeared_cannot_be_changed_or_removed_for_so_long(
    s3: S3Server, locking: S3Destination, files: dict[str, Path]
) -> None:
    send(locking, files)
    client = s3.client()
    for name in files:
        where = {"Bucket": locking.bucket, "Key": f"some/partner/{DELIVERY}/{name}"}
        found = client.head_object(**where)
        assert found["ObjectLockMode"] == "COMPLIANCE"
        left = found["ObjectLockRetainUntilDate"] - datetime.now(UTC)
        assert timedelta(days=1, hours=23) < left <= timedelta(days=2)
        with pytest.raises(ClientError, match="AccessDenied"):
            client.delete_object(**where, VersionId=found["VersionId"])
    send(locking, files, "2")
    assert client.head_object(**where)["ObjectLockRetainUntilDate"] == found["ObjectLockRetainUntilDate"]


def test_what_was_not_approved_is_not_locked(s3: S3Server, locking: S3Destination, files: dict[str, Path]) -> None:
    def refuse(_receipts: object) -> None:
        raise errors.AgreementRevoked("revoked")

    with S3Transport(locking) as transport, pytest.raises(errors.AgreementRevoked):
        publish(transport, files, DELIVERY, "1", refuse)
    client = s3.client()
    for each in client.list_object_versions(Bucket=locking.bucket).get("Versions", []):
        client.delete_object(Bucket=locking.bucket, Key=each["Key"], VersionId=each["VersionId"])
    assert "Versions" not in client.list_object_versions(Bucket=locking.bucket)


def test_a_bucket_without_a_lock_stops_a_delivery_that_is_to_be_locked(
    destination: S3Destination, files: dict[str, Path]
) -> None:
    wanted = replace(destination, lock_days=2)
    with pytest.raises(errors.DestinationRefused):
        send(wanted, files)
    assert not whole(destination, files)
    with S3Transport(wanted) as transport:
        assert any("no object lock" in each for each in checked(transport))


def test_the_server_is_told_to_end_what_breaks_off_and_its_other_rules_stay(
    s3: S3Server, destination: S3Destination
) -> None:
    client = s3.client()
    other = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 9}}
    client.put_bucket_lifecycle_configuration(Bucket=destination.bucket, LifecycleConfiguration={"Rules": [other]})
    with S3Transport(destination) as transport:
        assert any("break off" in each for each in checked(transport))
        assert list(checked(transport, set_lifecycle=True)) == []
        assert list(checked(transport, set_lifecycle=True)) == []
    rules = client.get_bucket_lifecycle_configuration(Bucket=destination.bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {"theirs", "gla-end-transfers"}
    (ours,) = [rule for rule in rules if rule["ID"] != "theirs"]
    assert ours["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert s3.client().list_objects_v2(Bucket=destination.bucket)["KeyCount"] == 0, "what was tried is gone"


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        content: bytes = answer.read()
    return content


def refused(url: str, code: int = 403) -> bool:
    try:
        fetched(url)
    except urllib.error.HTTPError as error:
        return error.code == code
    return False


def test_a_link_gives_one_file_to_whoever_has_it_and_nothing_else(
    destination: S3Destination, files: dict[str, Path]
) -> None:
    send(destination, files)
    with S3Transport(destination) as transport:
        url = transport.link(f"{DELIVERY}/data.age", 600)
    assert fetched(url) == files["data.age"].read_bytes()
    rest = urllib.request.Request(url, headers={"Range": f"bytes={3 * MIB}-"})  # as `curl -C -` goes on
    with urllib.request.urlopen(rest, timeout=30) as answer:
        assert (answer.status, answer.read()) == (206, files["data.age"].read_bytes()[3 * MIB :])
    assert refused(url.replace("data.age", MARK))
    assert refused(url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000"))
    assert refused(url.split("?")[0])


def test_a_link_ends(destination: S3Destination, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    send(destination, files)
    now = botocore.auth.get_current_datetime
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: now() - timedelta(minutes=10))
    with S3Transport.__new__(S3Transport) as transport:  # without asking the server, for which the clock is wrong
        transport._ended, transport._destination = False, destination
        transport._client = s3_client.open_client(destination)
        assert refused(transport.link(f"{DELIVERY}/data.age", 599))
        assert fetched(transport.link(f"{DELIVERY}/data.age", 1200)) == files["data.age"].read_bytes()


# Around it


def test_nothing_in_the_environment_decides_where_it_goes_or_as_whom(
    destination: S3Destination, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile other]\nregion = elsewhere\nendpoint_url = http://127.0.0.1:9\n")
    for name, value in {
        "AWS_PROFILE": "other", "AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
        "AWS_CA_BUNDLE": "/nowhere", "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    send(destination, files)
    assert whole(destination, files)


def test_the_key_of_a_bucket_is_in_no_log_error_or_text(
    destination: S3Destination, files: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    secret = destination.key().partition(":")[2]
    with caplog.at_level(logging.DEBUG):
        send(destination, files)
        with pytest.raises(errors.DestinationRefused) as caught:
            send(replace(destination, bucket="none-of-ours"), files)
    assert secret not in caplog.text
    assert secret not in f"{caught.value!r} {destination!r} {destination}"


@pytest.fixture
def partner(world, s3: S3Server, destination: S3Destination, monkeypatch: pytest.MonkeyPatch):
    """The world with an agreement that delivers to the bucket."""
    monkeypatch.setenv("PARTNER_KEY", f"{s3.access_key}:{s3.secret_key}")
    told = S3Registration(uri=f"s3://{destination.bucket}/some/partner", endpoint=s3.endpoint, secret="env:PARTNER_KEY")
    world.services.destinations.add("partner", told)
    world.conclude(world.document(destination="partner"))
    return world


def test_a_delivery_arrives_and_its_recipient_fetches_it_by_links(partner, s3: S3Server, tmp_path: Path) -> None:
    outcome = path.run(partner.services, partner.order())
    found = dict(links(partner.services, AGREEMENT, MARCH, None, 24))
    assert {"people.parquet.age", "pakbon.json.age", "manifest.json", "manifest.json.sig"} <= found.keys()
    assert sum(len(fetched(url)) for url in found.values()) == outcome.size
    assert all("X-Amz-Expires=86400" in url for url in found.values())


def test_no_link_outlives_the_delivery_or_is_made_for_one_that_is_not_there(partner, s3: S3Server) -> None:
    with pytest.raises(errors.DeliveryStateError, match="not been delivered"):
        links(partner.services, AGREEMENT, MARCH, None, 24)
    path.run(partner.services, partner.order())
    with pytest.raises(errors.DeliveryStateError, match="not been delivered"):
        links(partner.services, AGREEMENT, Period.parse("2026-04"), None, 24)
    begin = partner.services.clock()
    partner.at(begin + timedelta(days=29, hours=23))
    ((_, url), *_) = links(partner.services, AGREEMENT, MARCH, None, 24)
    assert 0 < int(url.split("X-Amz-Expires=")[1].split("&")[0]) <= 3600
    partner.at(begin + timedelta(days=31))
    with pytest.raises(errors.DeliveryStateError, match="expired"):
        links(partner.services, AGREEMENT, MARCH, None, 24)


def test_what_a_revoked_agreement_brought_goes_from_the_bucket_and_no_link_opens_it(partner, s3: S3Server) -> None:
    path.run(partner.services, partner.order())
    path.run(partner.services, partner.order(Mode.CORRECT, "better data"))
    found = [url for edition in (1, 2) for _, url in links(partner.services, AGREEMENT, MARCH, edition, 24)]
    revoked = lifecycle.stop(partner.services, AGREEMENT, AgreementState.REVOKED, "wrong recipient", "tester")
    assert (sorted(revoked.gone), revoked.problems) == ([f"{AGREEMENT}/2026-03/1", f"{AGREEMENT}/2026-03/2"], [])
    bucket = partner.services.destinations.get("partner").uri.split("/")[2]
    assert "Contents" not in s3.client().list_objects_v2(Bucket=bucket)
    assert len(found) == 10
    assert all(refused(url, 404) for url in found)
    with pytest.raises(errors.AgreementRevoked):
        links(partner.services, AGREEMENT, MARCH, None, 24)


def test_a_delivery_that_failed_there_is_resumed_with_the_same_bytes(
    partner, destination: S3Destination, faulty: FaultyHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_client, "_ATTEMPTS", 1)
    services = partner.services
    told = services.destinations.get("partner")
    services.destinations.add("partner", told.model_copy(update={"endpoint": faulty.url}), moved=True)
    faulty.fails = lambda _number, request: "503" if request.endswith("pakbon.json.age") and "PUT" in request else None
    with pytest.raises(errors.DestinationUnreachable):
        path.run(services, partner.order())
    faulty.fails = lambda _number, _request: None
    assert path.run(services, partner.order()).edition == 1
    assert [event["action"] for event in partner.events()].count("delivery.extracting") == 1
