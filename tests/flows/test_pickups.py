"""The spool becomes ledger entries: each reading once, and a line that is not ours never stops the others."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from core.canonical import canonical_json
from core.clock import to_rfc3339
from flows.steps import path
from flows.steps.pickups import record_pickups
from flows.steps.seal import Sealed
from ledger import events
from schemas.accounts import Pickup
from tests.delivery_world import AGREEMENT, MARCH, NOW

FOLDER = f"{AGREEMENT}/2026-03/edition-1"


@pytest.fixture
def published(world):
    world.conclude()
    path.run(world.services, world.order())
    (world.services.settings.dropzone_dir / "spool").mkdir(exist_ok=True)
    return world


def delivery(world):
    return world.services.ledger.get(AGREEMENT, MARCH, 1)


def files(world):
    """Names and sizes of all files of the delivery."""
    return {name: size for name, (size, _) in Sealed.from_json(delivery(world).sealed).files.items()}


def line(name: str = "manifest.json", size: int = 100, *spans: tuple[int, int], **changes: Any) -> bytes:
    spans = spans or ((0, size),)
    closed = changes.pop("closed", True)
    values: dict[str, Any] = {
        "recipient": "fonds",
        "path": f"{FOLDER}/{name}",
        "size": size,
        "spans": spans,
        "bytes_read": sum(end - start for start, end in spans),
        "closed": closed,
        "whole": closed and spans == ((0, size),),
        "address": "192.0.2.1",
        "session": "0" * 32,
        "fingerprint": "SHA256:x",
        "started": to_rfc3339(NOW),
        "ended": to_rfc3339(NOW + timedelta(seconds=changes.pop("second", 0))),
    } | changes
    return Pickup(**values).to_bytes()


def raw(**changes: Any) -> bytes:
    """A line of the right form with something in it that no `Pickup` may hold."""
    return canonical_json(json.loads(line()) | changes)


def spool(world, name: str, *lines: bytes):
    file = world.services.settings.dropzone_dir / "spool" / f"{name}.jsonl"
    file.write_bytes(b"".join(each + b"\n" for each in lines))
    return file


def left(world):
    return sorted(item.name for item in (world.services.settings.dropzone_dir / "spool").iterdir())


def reads(world):
    return [event for event in world.events() if event["action"] == "delivery.read"]


def test_every_file_read_makes_the_delivery_picked_up_and_the_spool_empty(published):
    spool(published, "a", *(line(name, size) for name, size in files(published).items()))
    assert record_pickups(published.services) == 5
    assert delivery(published).state == "picked_up"
    assert left(published) == []


def test_a_reading_is_told_with_who_where_and_how_much(published):
    spool(published, "a", line("people.parquet.age", 100, (0, 40), closed=False))
    record_pickups(published.services)
    [event] = reads(published)
    assert (event["actor"], event["object"]) == ("fonds", f"delivery:{AGREEMENT}/2026-03/1/people.parquet.age")
    detail = json.loads(event["detail"])
    assert (detail["bytes_read"], detail["size"], detail["whole"]) == (40, 100, False)
    assert (detail["address"], detail["spans"]) == ("192.0.2.1", [[0, 40]])


def test_a_file_resumed_in_other_sessions_counts_as_read(published):
    sizes = files(published)
    big = sizes.pop("people.parquet.age")
    spool(published, "a", *(line(name, size) for name, size in sizes.items()))
    spool(published, "c", line("people.parquet.age", big, (0, 500), closed=False, second=1))
    spool(published, "b", line("people.parquet.age", big, (400, 900), closed=False, second=2))
    record_pickups(published.services)
    assert delivery(published).state == "published"
    spool(published, "a", line("people.parquet.age", big, (900, big), second=3))
    record_pickups(published.services)
    assert delivery(published).state == "picked_up"


def test_parts_with_a_hole_do_not_count(published):
    sizes = files(published)
    big = sizes.pop("people.parquet.age")
    spool(published, "a", *(line(name, size) for name, size in sizes.items()))
    spool(published, "b", line("people.parquet.age", big, (0, 500), second=1))
    spool(published, "c", line("people.parquet.age", big, (501, big), second=2))
    record_pickups(published.services)
    assert delivery(published).state == "published"


def test_a_spool_file_that_is_read_again_after_a_crash_counts_once(published):
    lines = [line(name, size) for name, size in files(published).items()]
    spool(published, "a", *lines)
    assert record_pickups(published.services) == 5
    before = published.events()
    spool(published, "a", *lines)  # recorded, but the program ended before the file was removed
    assert record_pickups(published.services) == 0
    assert published.events() == before
    assert left(published) == []


def test_a_crash_in_the_middle_of_a_file_loses_and_doubles_nothing(published):
    lines = [line(name, size) for name, size in files(published).items()]
    spool(published, "a", *lines[:2])
    record_pickups(published.services)
    spool(published, "a", *lines)
    assert record_pickups(published.services) == 3
    assert len(reads(published)) == 5


def test_what_is_recorded_is_looked_through_once_in_a_run_and_again_after_a_crash(published, monkeypatch):
    looked = []
    original = events.of_delivery
    monkeypatch.setattr(events, "of_delivery", lambda *asked: looked.append(asked) or original(*asked))
    lines = [line(name, size) for name, size in files(published).items()]
    bites = [line("people.parquet.age", 10**6, (0, 1), second=number) for number in range(20)]
    with monkeypatch.context() as broken:
        broken.setattr(type(published.services.ledger), "_pick_up_if_read", lambda *_: 1 / 0)
        spool(published, "a", *lines, *bites[:10])
        with pytest.raises(ZeroDivisionError):
            record_pickups(published.services)
    assert (delivery(published).state, left(published), len(reads(published))) == ("published", ["a.jsonl"], 15)
    spool(published, "b", *bites[10:])
    assert record_pickups(published.services) == 10
    assert (delivery(published).state, left(published), len(looked)) == ("picked_up", [], 1)


BAD = {
    "no JSON": b"nonsense",
    "empty": b"",
    "binary": b"\xff\xfe\x00",
    "a list": b"[]",
    "cut off": line()[:-5],
    "a surrogate": b'{"\\ud800":1}',
    "a field too many": raw(more=1),
    "wrong counts": raw(bytes_read=1),
    "too few names": raw(path="manifest.json"),
    "no names": raw(path=""),
    "too many names": raw(path=f"x/{FOLDER}/manifest.json"),
    "absolute": raw(path=f"/{FOLDER}/manifest.json"),
    "no period": raw(path=f"{AGREEMENT}/march/edition-1/manifest.json"),
    "no edition": raw(path=f"{AGREEMENT}/2026-03/latest/manifest.json"),
    "edition without a number": raw(path=f"{AGREEMENT}/2026-03/edition-x/manifest.json"),
    "edition zero": raw(path=f"{AGREEMENT}/2026-03/edition-0/manifest.json"),
    "a negative edition": raw(path=f"{AGREEMENT}/2026-03/edition--1/manifest.json"),
    "an edition that no database holds": raw(path=f"{AGREEMENT}/2026-03/edition-{10**30}/manifest.json"),
    "digits of another script": raw(path=f"{AGREEMENT}/2026-03/edition-\u0661/manifest.json"),
    "a climbing name": raw(path=f"{AGREEMENT}/2026-03/edition-1/.."),
    "a zero byte": raw(path=f"{AGREEMENT}/2026-03/edition-1/a\0b"),
    "an agreement that is no name": raw(path="../2026-03/edition-1/manifest.json"),
    "a recipient that is no name": raw(recipient="../x"),
    "a moment outside the calendar": raw(ended="0001-01-01T00:00:00+23:59"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_set_aside_and_stops_nothing(published, bad, caplog):
    spool(published, "a", line("first"), bad, line("second"))
    spool(published, "b", line("third"))
    assert record_pickups(published.services) == 3
    assert [json.loads(event["detail"])["file"] for event in reads(published)] == ["first", "second", "third"]
    assert left(published) == ["a.rejected"]
    assert "a.jsonl is set aside for its line 2" in caplog.text
    assert record_pickups(published.services) == 0


@pytest.mark.parametrize(
    "strange",
    [
        line(path="GLA-9/2026-03/edition-1/manifest.json"),
        line(path=f"{AGREEMENT}/2026-02/edition-1/manifest.json"),
        line(path=f"{AGREEMENT}/2026-03/edition-2/manifest.json"),
        line(recipient="other"),
    ],
)
def test_a_reading_of_what_we_never_delivered_is_kept_as_failed(published, strange):
    spool(published, "a", strange)
    assert record_pickups(published.services) == 1
    [event] = reads(published)
    assert (event["result"], event["delivery_id"]) == ("failed", None)
    assert left(published) == []


def test_another_recipients_readings_never_make_it_picked_up(published):
    spool(published, "a", *(line(name, size, recipient="other") for name, size in files(published).items()))
    record_pickups(published.services)
    assert delivery(published).state == "published"


def test_only_finished_spool_files_are_read(published):
    folder = published.services.settings.dropzone_dir / "spool"
    (folder / f".{'0' * 32}.partial").write_bytes(line() + b"\n")
    assert record_pickups(published.services) == 0
    assert left(published) == [f".{'0' * 32}.partial"]


def test_without_a_spool_there_is_nothing_to_record(world):
    assert record_pickups(world.services) == 0
