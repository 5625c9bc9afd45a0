"""What a recipient sent over OpenSSH comes into the drop zone's own area, or goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apps.dropzone.incoming import Limits
from apps.dropzone.reading import Session
from apps.openssh import landing
from apps.openssh.landing import Landing
from apps.openssh.owner import Owner

MIB = 1024**2
SESSION = Session("s", "fonds", "192.0.2.7", "SHA256:x")


class Zone:
    """The chroot of one recipient, and the drop zone, with an area for one agreement in each."""

    def __init__(self, folder: Path, reserve: int = 0) -> None:
        self.sent = folder / "chroot/incoming/GLA-1"
        self.area = folder / "dropzone/incoming/fonds/GLA-1"
        for path in (self.sent, self.area, folder / "dropzone/receipts/fonds"):
            path.mkdir(parents=True)
        root, limits = folder / "dropzone", Limits(size=5 * MIB, files=3, waiting=6 * MIB, reserve=reserve)
        self.landing = Landing(folder / "chroot", root, "fonds", Owner.of(root), limits)

    def take(self, name: str) -> bool:
        """Whether it was taken; it is gone from where it was sent to."""
        self.landing.take(f"/incoming/GLA-1/{name}", SESSION, complete=True)
        assert not (self.sent / name).exists()
        return (self.area / name).exists()


@pytest.fixture
def zone(tmp_path: Path) -> Zone:
    return Zone(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 3 * MIB + 1])
def test_what_was_sent_is_taken_as_it_is(zone, size):
    data = os.urandom(size)
    (zone.sent / "list.age").write_bytes(data)
    assert zone.take("list.age")
    assert (zone.area / "list.age").read_bytes() == data


@pytest.mark.parametrize("truncated", [True, False], ids=["behind", "before"])
def test_a_file_with_a_hole_is_refused_before_its_zeros_are_written(zone, truncated):
    before = zone.area.stat().st_mtime_ns
    with (zone.sent / "list.age").open("wb") as file:
        file.seek(0 if truncated else 4 * MIB)
        file.write(b"x")
        file.truncate(4 * MIB + 1)
    assert not zone.take("list.age")
    assert zone.area.stat().st_mtime_ns == before


def test_a_file_for_which_there_is_no_room_is_not_begun(zone):
    (zone.sent / "first.age").write_bytes(os.urandom(3 * MIB))
    assert zone.take("first.age")
    before = zone.area.stat().st_mtime_ns
    (zone.sent / "second.age").write_bytes(os.urandom(4 * MIB))
    assert not zone.take("second.age")
    assert zone.area.stat().st_mtime_ns == before


def test_what_no_session_sends_goes_whatever_time_its_sender_gave_it(zone, monkeypatch):
    names = ("sending.age", "left.age", "één.age")
    for name in names:
        (zone.sent / name).write_bytes(b"x")
        os.utime(zone.sent / name, (4e9, 4e9))
    zone.landing.sweep([])
    assert len(list(zone.sent.iterdir())) == 3
    monkeypatch.setattr(landing, "_LEFT_SECONDS", -1.0)
    zone.landing.sweep(["./incoming//GLA-1/sending.age"])
    assert [path.name for path in zone.sent.iterdir()] == ["sending.age"]


def test_files_on_their_way_overflow_by_their_bytes_with_those_that_have_no_name_any_more(zone):
    (zone.sent / "a.age").write_bytes(bytes(4 * MIB))
    (zone.sent / "b.age").write_bytes(bytes(3 * MIB))
    opened = (zone.sent / "b.age").stat()
    assert zone.landing.overflows([])
    (zone.sent / "b.age").unlink()
    assert not zone.landing.overflows([])
    assert not zone.landing.overflows([(zone.sent / "a.age").stat()])  # once, not twice
    assert zone.landing.overflows([opened])
    zone.landing.clear()
    assert list(zone.sent.iterdir()) == []


def test_files_on_their_way_overflow_by_their_number(zone, monkeypatch):
    monkeypatch.setattr(landing, "_MOST_FILES", 2)
    for name in "abc":
        assert not zone.landing.overflows([])
        (zone.sent / name).touch()
    assert zone.landing.overflows([])


def test_on_a_disk_with_too_little_room_nothing_may_be_on_its_way(tmp_path):
    zone = Zone(tmp_path, reserve=2**60)
    assert not zone.landing.overflows([])
    (zone.sent / "a.age").write_bytes(b"x")
    assert zone.landing.overflows([])
