"""The spool: lines are whole and on disk, or the session goes no further."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from apps.dropzone import spool as spool_module
from apps.dropzone.spool import SessionSpool, recover
from schemas.accounts import Pickup

MOMENT = "2026-04-05T12:00:00.000Z"
PICKUP = Pickup(
    recipient="fonds",
    path="GLA-1/2026-03/edition-1/data.age",
    size=3,
    bytes_read=3,
    spans=((0, 3),),
    whole=True,
    closed=True,
    address="127.0.0.1",
    session="a",
    fingerprint="SHA256:x",
    started=MOMENT,
    ended=MOMENT,
)
LINE = PICKUP.to_bytes() + b"\n"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_session_is_hidden_until_it_is_over(tmp_path: Path) -> None:
    spool = SessionSpool(tmp_path, "a")
    spool.append(PICKUP)
    spool.append(PICKUP)
    assert contents(tmp_path) == {".a.partial": LINE * 2}
    spool.finish()
    assert contents(tmp_path) == {"a.jsonl": LINE * 2}
    spool.finish()


def test_a_session_that_fetched_nothing_leaves_nothing(tmp_path: Path) -> None:
    spool = SessionSpool(tmp_path, "a")
    spool.ensure()
    spool.finish()
    assert contents(tmp_path) == {}


def test_a_full_disk_breaks_the_session_and_leaves_no_half_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = SessionSpool(tmp_path, "a")
    spool.append(PICKUP)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:20]))
    with pytest.raises(OSError, match="full"):
        spool.append(PICKUP)
    monkeypatch.undo()
    for attempt in (spool.ensure, lambda: spool.append(PICKUP)):
        with pytest.raises(OSError, match="broken"):
            attempt()
    spool.finish()
    assert contents(tmp_path) == {"a.jsonl": LINE}


def test_a_session_that_fetched_very_much_is_recorded_and_opens_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "_MOST_BYTES", 2 * len(LINE))
    spool = SessionSpool(tmp_path, "a")
    for _ in range(3):
        spool.ensure()
        spool.append(PICKUP)
    with pytest.raises(OSError, match="full"):
        spool.ensure()
    spool.append(PICKUP)  # what was open by then
    spool.finish()
    assert contents(tmp_path) == {"a.jsonl": LINE * 4}


def test_recovery_hands_over_whole_lines_and_drops_a_torn_one(tmp_path: Path) -> None:
    (tmp_path / ".a.partial").write_bytes(LINE + LINE[:30])
    (tmp_path / ".b.partial").write_bytes(LINE[:30])
    (tmp_path / ".c.partial").write_bytes(b"")
    (tmp_path / "d.jsonl").write_bytes(LINE)
    recover(tmp_path)
    assert contents(tmp_path) == {"a.jsonl": LINE, "d.jsonl": LINE}


def test_recovery_leaves_the_sessions_of_a_running_server_alone(tmp_path: Path) -> None:
    spool = SessionSpool(tmp_path, "a")
    spool.append(PICKUP)
    recover(tmp_path)
    assert contents(tmp_path) == {".a.partial": LINE}
    spool.append(PICKUP)
    spool.finish()
    assert contents(tmp_path) == {"a.jsonl": LINE * 2}


def test_recovery_of_an_empty_folder_does_nothing(tmp_path: Path) -> None:
    recover(tmp_path)
    assert contents(tmp_path) == {}


def test_a_spool_that_recovery_takes_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, taken = fcntl.flock, []

    def flock(descriptor: int, how: int) -> None:
        if not taken:
            taken.append(True)
            recover(tmp_path)  # by another process, between the two calls
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    spool = SessionSpool(tmp_path, "a")
    spool.append(PICKUP)
    spool.finish()
    assert contents(tmp_path) == {"a.jsonl": LINE}
