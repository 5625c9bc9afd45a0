"""One recipient's area, without a server: where a file may come to be, and that half a file never does."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.dropzone.incoming import RECEIPT_FILES, Area, Limits, Receiving, remove_drafts
from apps.dropzone.reading import Session
from schemas.accounts import Upload, ticket_name
from tests.soak import examples

SESSION = Session("0" * 32, "fonds", "192.0.2.1", "SHA256:x")
NAME = "deelnemers.csv.age"


@pytest.fixture
def area(tmp_path: Path) -> Area:
    (tmp_path / "incoming" / "fonds" / "GLA-1").mkdir(parents=True)
    (tmp_path / "incoming" / "other" / "GLA-2").mkdir(parents=True)
    return Area(tmp_path / "incoming" / "fonds", Limits(size=1000, files=2))


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def send(area: Area, name: str, *parts: bytes) -> Receiving:
    receiving, offset = area.receive(f"/incoming/GLA-1/{name}"), 0
    for part in parts:
        receiving.write(offset, memoryview(part))
        offset += len(part)
    return receiving


def test_a_file_appears_whole_with_its_ticket(area: Area, tmp_path: Path) -> None:
    receiving = send(area, NAME, b"one", b"two")
    assert area.list("/incoming/GLA-1") == []
    receiving.finish(SESSION)
    folder = tmp_path / "incoming" / "fonds" / "GLA-1"
    assert (folder / NAME).read_bytes() == b"onetwo"
    ticket = Upload.from_bytes((folder / ticket_name(NAME)).read_bytes())
    assert (ticket.recipient, ticket.size, ticket.session, ticket.address) == ("fonds", 6, SESSION.id, "192.0.2.1")
    assert [node.name for node in area.list("/incoming/GLA-1")] == [NAME]
    assert area.find(f"/incoming/GLA-1/{NAME}").size == 6


def test_what_arrives_out_of_order_is_put_in_order(area: Area, tmp_path: Path) -> None:
    receiving = area.receive(f"/incoming/GLA-1/{NAME}")
    receiving.write(3, memoryview(b"two"))
    receiving.write(0, memoryview(b"one"))
    receiving.finish(SESSION)
    assert (tmp_path / "incoming" / "fonds" / "GLA-1" / NAME).read_bytes() == b"onetwo"


def test_a_full_disk_leaves_no_half_file_also_when_the_client_closes_it(
    area: Area, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiving = send(area, NAME, b"one")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError):
        receiving.write(3, memoryview(b"two"))
    with pytest.raises(OSError):
        receiving.finish(SESSION)
    assert everything(tmp_path / "incoming" / "fonds") == ["GLA-1"]


def test_a_file_that_grows_beyond_the_limit_is_gone(area: Area, tmp_path: Path) -> None:
    receiving = send(area, NAME, bytes(1000))
    with pytest.raises(OSError):
        receiving.write(1000, memoryview(b"x"))
    with pytest.raises(OSError):
        receiving.finish(SESSION)
    assert everything(tmp_path / "incoming" / "fonds") == ["GLA-1"]


def test_an_offset_far_away_is_beyond_the_limit(area: Area) -> None:
    with pytest.raises(OSError):
        area.receive(f"/incoming/GLA-1/{NAME}").write(2**62, memoryview(b"x"))


def test_what_is_dropped_is_gone_and_dropping_twice_does_no_harm(area: Area, tmp_path: Path) -> None:
    receiving = send(area, NAME, b"half")
    receiving.drop()
    receiving.drop()
    with pytest.raises(OSError):
        receiving.write(0, memoryview(b"x"))
    assert everything(tmp_path / "incoming" / "fonds") == ["GLA-1"]


def test_files_on_their_way_count_for_the_limit(area: Area) -> None:
    on_its_way = send(area, "a.age", b"x")
    send(area, "b.age", b"x").finish(SESSION)
    with pytest.raises(PermissionError):
        area.receive("/incoming/GLA-1/c.age")
    on_its_way.drop()
    send(area, "c.age", b"x").finish(SESSION)


def test_drafts_of_a_server_that_is_gone_are_removed_and_finished_files_stay(area: Area, tmp_path: Path) -> None:
    send(area, NAME, b"x").finish(SESSION)
    folder = tmp_path / "incoming" / "fonds" / "GLA-1"
    (folder / ".0.partial").write_bytes(b"half")
    (folder / ".0.partial.ticket").write_bytes(b"half")
    remove_drafts(tmp_path / "incoming")
    assert everything(folder) == sorted([NAME, ticket_name(NAME)])


NAMES = ["incoming", "GLA-1", "GLA-2", "other", "fonds", "..", ".", "", "a.age", ".x", "a/b", "\0"]
paths = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(NAMES)).map("/".join),
)


@pytest.mark.soak
@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(paths)
def test_whatever_path_is_asked_for_nothing_comes_to_be_but_in_the_agreements_own_folder(
    area: Area, tmp_path: Path, path: str
) -> None:
    before = everything(tmp_path)
    try:
        receiving = area.receive(path)
    except (OSError, ValueError):
        assert everything(tmp_path) == before
        return
    new = set(everything(tmp_path)) - set(before)
    assert all(Path(each).parent == Path("incoming/fonds/GLA-1") for each in new)
    receiving.drop()
    assert everything(tmp_path) == before


@pytest.fixture
def receipts(tmp_path: Path) -> Area:
    (tmp_path / "receipts" / "fonds").mkdir(parents=True)
    return Area(tmp_path / "receipts" / "fonds", Limits(size=100, files=3), RECEIPT_FILES)


def test_a_receipt_appears_in_the_recipients_own_folder(receipts: Area, tmp_path: Path) -> None:
    receiving = receipts.receive("/receipts/march.ack")
    receiving.write(0, memoryview(b"text"))
    receiving.finish(SESSION)
    assert (tmp_path / "receipts" / "fonds" / "march.ack").read_bytes() == b"text"
    assert [node.name for node in receipts.list("/receipts")] == ["march.ack"]
    assert receipts.find("/receipts").is_directory
    assert receipts.find("/receipts/march.ack").size == 4


@pytest.mark.parametrize(
    "path", ["/receipts/march.txt", "/receipts/march.ack.exe", "/receipts/.x.ack", "/receipts/a/b.ack", "/receipts"]
)
def test_what_has_not_the_name_of_a_receipt_is_not_taken(receipts: Area, tmp_path: Path, path: str) -> None:
    (tmp_path / "receipts" / "fonds" / "a").mkdir()
    with pytest.raises(PermissionError):
        receipts.receive(path)
    assert everything(tmp_path / "receipts") == ["fonds", "fonds/a"]


def test_a_receipt_has_its_own_limits(receipts: Area) -> None:
    receiving = receipts.receive("/receipts/march.ack")
    with pytest.raises(OSError):
        receiving.write(0, memoryview(b"x" * 101))
    for name in ("a.ack", "b.ack", "b.ack.sig"):
        receipts.receive(f"/receipts/{name}").finish(SESSION)
    with pytest.raises(PermissionError):
        receipts.receive("/receipts/c.ack")


def test_receipts_that_were_on_their_way_when_the_server_was_killed_go_too(receipts: Area, tmp_path: Path) -> None:
    left = tmp_path / "receipts" / "fonds" / f".{'0' * 32}.partial"
    left.write_bytes(b"half")
    remove_drafts(tmp_path / "incoming")
    assert not left.exists()
