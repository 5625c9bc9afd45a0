"""A program of ours in a process of its own, between two pipes.

The OpenPGP binding works from one path to another and holds Python's lock meanwhile, so that its own process could
neither feed nor empty a pipe. Nothing but the pipes is shared: no environment, no arguments.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

PREFIX = 4  # bytes that say how long the task is
_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")  # all that it may need; no secrets of ours


def started(program: Path) -> tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]:
    """The process, the pipe to it and the pipe from it."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own file
        [sys.executable, "-I", str(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )
    assert process.stdin is not None and process.stdout is not None, "both are pipes"  # noqa: PT018
    return process, process.stdin, process.stdout


def task_bytes(task: dict[str, Any]) -> bytes:
    """What is sent before the content, as the programs read it."""
    content = json.dumps(task).encode()
    return len(content).to_bytes(PREFIX) + content
