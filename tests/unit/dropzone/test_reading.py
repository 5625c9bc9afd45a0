"""When a recipient's reading of a file ended."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from apps.dropzone import reading as reading_module
from apps.dropzone.namespace import Node, OpenedFile
from apps.dropzone.reading import Reading, Session
from schemas.accounts import Pickup

START = datetime(2026, 4, 5, 12, tzinfo=UTC)
SESSION = Session("a", "fonds", "127.0.0.1", "SHA256:x")


def read_twice(path: Path, monkeypatch: pytest.MonkeyPatch, *, by_client: bool) -> Pickup:
    """Two readings of two bytes, each a minute after what came before, and the end a minute after the last."""
    moments = (START + timedelta(minutes=minute) for minute in range(9))
    monkeypatch.setattr(reading_module, "utc_now", lambda: next(moments))
    path.write_bytes(b"abcd")
    opened = OpenedFile(os.open(path, os.O_RDONLY), Node("data.age", is_directory=False, size=4), "data.age")
    reading = Reading(opened)
    for offset in (0, 2):
        assert reading.read(offset, memoryview(bytearray(2))) == 2
    pickup = reading.close(SESSION, by_client=by_client)
    assert pickup is not None
    return pickup


def test_a_reading_that_was_closed_ended_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pickup = read_twice(tmp_path / "data", monkeypatch, by_client=True)
    assert (pickup.whole, pickup.started, pickup.ended) == (
        True,
        "2026-04-05T12:00:00.000Z",
        "2026-04-05T12:03:00.000Z",
    )


def test_one_that_was_cut_ended_with_its_last_byte_however_late_that_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pickup = read_twice(tmp_path / "data", monkeypatch, by_client=False)
    assert (pickup.whole, pickup.started, pickup.ended) == (
        False,
        "2026-04-05T12:00:00.000Z",
        "2026-04-05T12:02:00.000Z",
    )
