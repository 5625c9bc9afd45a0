"""The scratch file: what comes back is what went in, and nobody else can read, change or find it."""

import errno
import os
import secrets

import pytest

from core.errors import StorageFull, Unexpected
from keys.scratch import SealedScratch

SECRET = b"kanarie-7f3a9c" * 1000


@pytest.fixture
def scratch(tmp_path):
    with SealedScratch(tmp_path) as opened:
        yield opened


def raw(scratch):
    """The bytes on the disk, as somebody with the disk in his hands sees them."""
    return os.pread(scratch._file, 2**24, 0)


def test_blocks_come_back_in_any_order(scratch):
    blocks = [secrets.token_bytes(size) for size in (0, 1, 17, 100_000)]
    tickets = [scratch.append(block) for block in blocks]
    for at in (3, 1, 0, 2, 3):
        assert scratch.read(tickets[at]) == blocks[at]


def test_what_is_written_cannot_be_read_by_others_and_is_not_repeated(scratch):
    scratch.append(SECRET)
    scratch.append(SECRET)
    disk = raw(scratch)
    assert b"kanarie" not in disk
    half = len(disk) // 2
    assert disk[:half] != disk[half:]  # the same block looks different each time


def test_nobody_finds_the_file_and_nothing_is_left(tmp_path):
    with SealedScratch(tmp_path) as scratch:
        scratch.append(SECRET)
        assert list(tmp_path.iterdir()) == []
        descriptor = scratch._file
        assert os.fstat(descriptor).st_nlink == 0
        assert os.fstat(descriptor).st_mode & 0o077 == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_without_a_block_there_is_no_file_and_no_folder(tmp_path):
    with SealedScratch(tmp_path / "staging") as scratch:
        assert scratch._file is None
    assert not (tmp_path / "staging").exists()


@pytest.mark.parametrize("at", [0, 100, -1])
def test_a_changed_byte_is_found(scratch, at):
    ticket = scratch.append(SECRET)
    position = at % (len(SECRET) + 16)
    changed = bytes([raw(scratch)[position] ^ 1])
    os.pwrite(scratch._file, changed, position)
    with pytest.raises(Unexpected, match="did not keep what was written") as caught:
        scratch.read(ticket)
    assert caught.value.__context__ is None


def test_a_short_file_is_found(scratch):
    first, last = scratch.append(SECRET), scratch.append(SECRET)
    os.ftruncate(scratch._file, len(raw(scratch)) - 1)
    assert scratch.read(first) == SECRET
    with pytest.raises(Unexpected, match="did not keep"):
        scratch.read(last)


def test_blocks_that_changed_places_are_found(scratch):
    one, two = scratch.append(b"a" * 100), scratch.append(b"b" * 100)
    disk = raw(scratch)
    half = len(disk) // 2
    os.pwrite(scratch._file, disk[half:] + disk[:half], 0)
    for ticket in (one, two):
        with pytest.raises(Unexpected, match="did not keep"):
            scratch.read(ticket)


def test_a_block_of_another_scratch_is_refused(tmp_path, scratch):
    ticket = scratch.append(SECRET)
    with SealedScratch(tmp_path) as other:
        other.append(SECRET)
        os.pwrite(scratch._file, raw(other), 0)
    with pytest.raises(Unexpected):
        scratch.read(ticket)


def test_its_folder_is_made_with_those_above_it_for_us_only(tmp_path):
    with SealedScratch(tmp_path / "above" / "scratch") as scratch:
        assert scratch.read(scratch.append(SECRET)) == SECRET
    assert (tmp_path / "above" / "scratch").stat().st_mode & 0o777 == 0o700


FULL = "^the disk for scratch files is full: free space in the staging folder and resume$"


@pytest.mark.parametrize(
    ("code", "expected", "words"),
    [
        (errno.ENOSPC, StorageFull, FULL),
        (errno.EDQUOT, StorageFull, FULL),
        (errno.EIO, Unexpected, r"^the disk for scratch files failed \(EIO\): check it and resume$"),
        (9999, Unexpected, r"failed \(9999\)"),
    ],
)
def test_a_disk_that_is_full_or_fails_has_a_name_and_shows_no_path(scratch, monkeypatch, code, expected, words):
    def refuse(*_args):
        raise OSError(code, "no", "/secret/path")

    monkeypatch.setattr("keys.scratch.os.pwrite", refuse)
    with pytest.raises(expected, match=words) as caught:
        scratch.append(SECRET)
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_short_writes_and_reads_are_completed(scratch, monkeypatch):
    write, read = os.pwrite, os.pread
    monkeypatch.setattr("keys.scratch.os.pwrite", lambda file, data, at: write(file, data[:1000], at))
    monkeypatch.setattr("keys.scratch.os.pread", lambda file, size, at: read(file, min(size, 999), at))
    assert scratch.read(scratch.append(SECRET)) == SECRET
