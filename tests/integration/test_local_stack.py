"""`gla ops up` starts several programs: it must take them along when it goes, and start them once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apps.cli.local_stack import LocalStack
from core.errors import UnusableInput
from core.settings import DropzoneSettings, Settings

SCRIPT = """
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts beside it ignore this
from apps.cli.local_stack import LocalStack
from core.settings import DropzoneSettings, Settings
with LocalStack(Settings(home=Path(sys.argv[1]), dropzone=DropzoneSettings(port=0)), Path("unused")) as stack:
    stack.start_dropzone()
    print(stack.dropzone_port, flush=True)
    time.sleep(60)
"""


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.server
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_whatever_ends_the_stack_ends_its_children(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as running:  # fmt: skip
        assert running.stdout is not None
        assert running.stdout.readline().strip().isdigit()
        children = _children(running.pid)
        assert children
        os.kill(running.pid, number)
        running.wait(45)  # it would sleep for 60
    deadline = time.monotonic() + 60
    while any(map(_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(_alive, children))


def test_one_home_has_one_stack_at_a_time(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, dropzone=DropzoneSettings(port=0))
    with (
        LocalStack(settings, Path("unused")),
        pytest.raises(UnusableInput, match="running already"),
        LocalStack(settings, Path("unused")),
    ):
        pass
    with LocalStack(settings, Path("unused")):
        pass
