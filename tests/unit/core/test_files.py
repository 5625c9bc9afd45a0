from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from core.files import new_file, remove_drafts, write_file


def test_a_file_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with new_file(path, mode=0o600) as file:
        file.write(b"half")
        assert not path.exists()
    assert path.read_bytes() == b"half"


def interrupted(path: Path) -> None:
    with new_file(path, mode=0o600) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with new_file(tmp_path / "link", mode=0o600) as file:
        file.write(b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with new_file(pipe, mode=0o600) as file:
        file.write(b"content")
    reader.join()
    assert got == [b"content"]
    assert pipe.is_fifo()


def test_a_missing_folder_is_named_by_the_path_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "file"
    with pytest.raises(FileNotFoundError) as refusal, new_file(path, mode=0o600):
        pass
    assert refusal.value.filename == str(path)


def test_without_replace_the_first_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    with pytest.raises(FileExistsError), new_file(path, mode=0o600, replace=False) as file:
        file.write(b"second")
    assert path.read_bytes() == b"first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_whole_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    write_file(path, b"old", mode=0o600)
    write_file(path, b"new and longer", mode=0o600)
    assert path.read_bytes() == b"new and longer"
    assert [each.name for each in tmp_path.iterdir()] == ["registry.json"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from core.files import new_file
with new_file(Path(sys.argv[1]), mode=0o600) as file:
    file.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_when_it_is_old_enough_and_nothing_else(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path / "file")], check=False)
    assert done.returncode == -signal.SIGKILL
    (draft,) = tmp_path.iterdir()
    written = draft.stat().st_mtime
    others = [tmp_path / name for name in (".0123.partial", "0123456789abcdef.partial", ".0123456789abcdef.partial.x")]
    for path in others:
        path.touch()
        os.utime(path, (0, 0))
    assert remove_drafts(tmp_path, written) == 0
    assert draft.exists()
    assert remove_drafts(tmp_path, written + 1) == 1
    assert sorted(tmp_path.iterdir()) == sorted(others)
    assert remove_drafts(tmp_path / "absent", written) == 0
