"""Our own files on their way out, and the pace at which they may leave."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from core.errors import UnusableInput
from tests.memory_transport import MemoryObjects
from transports.base import kept_bytes
from transports.outgoing import BLOCK_BYTES, Outgoing, local_blocks
from transports.pace import Pace

MIB = 1024 * 1024


def readers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "outgoing"]


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, 5 * BLOCK_BYTES + 1])
def test_all_of_a_file_comes_out_in_blocks_of_the_size_that_was_asked(tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(size))
    with Outgoing(source, "file") as outgoing:
        blocks = list(outgoing.blocks())
    assert b"".join(blocks) == source.read_bytes() == b"".join(local_blocks(source, "file"))
    assert {len(block) for block in blocks[:-1]} <= {BLOCK_BYTES}
    assert (outgoing.size, outgoing.sha256) == (size, hashlib.sha256(source.read_bytes()).hexdigest())
    assert readers() == []


def test_who_stops_in_the_middle_leaves_no_thread_behind(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(20 * BLOCK_BYTES))
    with Outgoing(source, "file") as outgoing:
        assert next(outgoing.blocks())
    assert readers() == []


def test_no_more_is_read_ahead_than_a_few_blocks(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(50 * BLOCK_BYTES))
    with Outgoing(source, "file") as outgoing:
        next(outgoing.blocks())
        time.sleep(0.2)
        assert outgoing._file.tell() <= 6 * BLOCK_BYTES


def test_a_file_that_cannot_be_read_any_more_is_told_as_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(9 * BLOCK_BYTES))

    def broken() -> None:
        with Outgoing(source, "data.age") as outgoing:
            for number, _ in enumerate(outgoing.blocks()):
                if number == 0:
                    os.dup2(os.open(tmp_path, os.O_RDONLY), outgoing._file.fileno())  # reading a folder fails

    with pytest.raises(UnusableInput, match=r"our copy of data\.age") as caught:
        broken()
    assert caught.value.__context__ is None
    assert readers() == []


@pytest.mark.parametrize(("left", "kept"), [(MIB - 1, 0), (MIB, MIB), (2 * MIB, 2 * MIB), (2 * MIB + 1, 0)])
def test_only_a_start_that_is_ours_and_long_enough_is_kept(tmp_path: Path, left: int, kept: int) -> None:
    source, start = tmp_path / "source", tmp_path / "start"
    source.write_bytes(os.urandom(2 * MIB))
    start.write_bytes((source.read_bytes() + b"x")[:left])
    far = MemoryObjects()
    far.put(start, "file")
    assert kept_bytes(far, source, "file") == kept
    assert bool(far.files) is bool(kept)


def test_a_pace_lets_through_no_more_than_its_rate() -> None:
    pace = Pace(1_000_000)
    began = time.monotonic()
    for _ in range(5):
        pace.take(100_000)
    assert time.monotonic() - began >= 0.4, "the last of five leaves after those before it"
    Pace(None).take(10**15)
