"""What several processes, and servers, have in common: the disk, the limits, and what a killed one left behind."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from apps.dropzone.incoming import Area, Limits, Receiving, remove_drafts
from apps.dropzone.reading import Session
from schemas.accounts import Upload, ticket_name

SESSION = Session("0" * 32, "fonds", "192.0.2.1", "SHA256:x")
NAME = "deelnemers.csv.age"
MIB = 1024 * 1024


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    for name in ("fonds/GLA-1", "fonds/GLA-2", "other/GLA-3"):
        (tmp_path / "incoming" / name).mkdir(parents=True)
    return tmp_path / "incoming"


def area(incoming: Path, recipient: str = "fonds", **limits: int) -> Area:
    return Area(incoming / recipient, Limits(**{"size": 100 * MIB, "files": 100, **limits}))


def begin(area: Area, name: str, size: int, agreement: str = "GLA-1") -> Receiving:
    receiving = area.receive(f"/incoming/{agreement}/{name}")
    receiving.write(0, memoryview(bytes(size)))
    return receiving


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_recipient_may_have_so_many_bytes_here_for_all_its_agreements(incoming: Path) -> None:
    mine = area(incoming, waiting=3 * MIB)
    begin(mine, "a.age", MIB).finish(SESSION)
    on_its_way = begin(mine, "b.age", MIB, "GLA-2")
    with pytest.raises(OSError) as caught:
        begin(mine, "c.age", 2 * MIB)
    assert caught.value.errno == errno.EDQUOT
    assert names(incoming / "fonds" / "GLA-1") == sorted(["a.age", ticket_name("a.age")])
    begin(area(incoming, "other", waiting=3 * MIB), "d.age", 2 * MIB, "GLA-3").finish(SESSION)
    on_its_way.drop()
    (incoming / "fonds" / "GLA-1" / "a.age").unlink()  # it is taken away
    begin(mine, "c.age", 2 * MIB).finish(SESSION)


def test_a_file_that_grows_on_its_way_is_asked_again(incoming: Path) -> None:
    mine = area(incoming, waiting=20 * MIB)
    receiving = begin(mine, "a.age", MIB)
    for number in range(15):
        receiving.write(number * MIB, memoryview(bytes(MIB)))
    with pytest.raises(OSError):
        receiving.write(25 * MIB, memoryview(b"x"))
    assert names(incoming / "fonds" / "GLA-1") == []


def test_the_disk_is_never_filled_by_uploads(incoming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 20 * MIB
    monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))
    mine = area(incoming, reserve=10 * MIB)
    receiving = begin(mine, "a.age", MIB)
    free = 10 * MIB
    with pytest.raises(OSError) as caught:
        receiving.write(50 * MIB, memoryview(b"x"))
    assert caught.value.errno == errno.ENOSPC
    free = 9 * MIB
    with pytest.raises(OSError):
        begin(mine, "b.age", 0)
    assert names(incoming / "fonds" / "GLA-1") == []


def test_the_number_of_files_holds_for_all_that_begin_at_once(incoming: Path) -> None:
    def attempt(number: int) -> bool:
        try:
            begin(area(incoming, files=3), f"{number}.age", 1)
        except PermissionError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(30))) == 3


def test_of_two_with_one_name_one_appears_and_the_ticket_is_its_own(incoming: Path) -> None:
    def finish(receiving: Receiving) -> bool:
        try:
            receiving.finish(SESSION)
        except FileExistsError:
            return False
        return True

    folder = incoming / "fonds" / "GLA-1"
    with ThreadPoolExecutor(2) as pool:
        for size in range(1, 21):
            both = [begin(area(incoming), NAME, size), begin(area(incoming), NAME, 1000 + size)]
            assert sum(pool.map(finish, both)) == 1
            ticket = Upload.from_bytes((folder / ticket_name(NAME)).read_bytes())
            assert ticket.size == (folder / NAME).stat().st_size
            assert names(folder) == sorted([NAME, ticket_name(NAME)])
            (folder / NAME).unlink()


CRASH = """
import os, sys
from pathlib import Path
from apps.dropzone.incoming import Area, Limits
from apps.dropzone.reading import Session
folder, name, function = sys.argv[1:]
receiving = Area(Path(folder), Limits(1000, 10)).receive(f"/incoming/GLA-1/{name}")
receiving.write(0, memoryview(b"crashed"))
setattr(os, function, lambda *_, **__: os._exit(9))
receiving.finish(Session("1" * 32, "fonds", "192.0.2.1", "SHA256:x"))
"""


@pytest.mark.parametrize(
    ("function", "appeared"), [("fsync", False), ("rename", False), ("link", False), ("unlink", True)]
)
def test_a_process_that_is_killed_leaves_a_whole_file_with_its_ticket_or_nothing(
    incoming: Path, function: str, appeared: bool
) -> None:
    command = [sys.executable, "-c", CRASH, str(incoming / "fonds"), NAME, function]
    assert subprocess.run(command, check=False, timeout=60).returncode == 9
    folder = incoming / "fonds" / "GLA-1"
    still_there = begin(area(incoming), "another.age", 5)
    remove_drafts(incoming)
    whole = sorted([NAME, ticket_name(NAME)]) if appeared else []
    assert [name for name in names(folder) if not name.endswith(".partial")] == whole
    still_there.finish(SESSION)
    assert (folder / "another.age").stat().st_size == 5
    if not appeared:
        begin(area(incoming), NAME, 3).finish(SESSION)
        assert Upload.from_bytes((folder / ticket_name(NAME)).read_bytes()).size == 3


def test_a_link_that_fails_leaves_no_ticket(incoming: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    receiving = begin(area(incoming), NAME, 3)

    def fails(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(OSError):
        receiving.finish(SESSION)
    assert names(incoming / "fonds" / "GLA-1") == []
