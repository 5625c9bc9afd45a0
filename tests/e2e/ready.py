"""The program in an interpreter that has imported it: each run is a process of its own, and begins at once.

`python -m tests.e2e.ready` never runs a query (the threads of Polars and Arrow do not survive a fork) and forks a child
for each job: one JSON line in, one out. The child has its own folder and output, runs `gla` and ends as Python ends, so
that its exit code, or the signal that ended it, and its memory are those of the program.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """`code` is less than zero where a signal ended it."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: int


class Ready:
    """The other end: starts the interpreter, and has it run the program."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.ready"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, env={"PATH": "/usr/bin"},
        )  # fmt: skip

    def run(self, *arguments: str, folder: Path, output: Path, seconds: int) -> Outcome:
        """In `folder`; what it writes goes to two new files in `output`. After so many seconds it is ended."""
        files = [output / name for name in ("out", "err")]
        job = {
            "arguments": arguments,
            "folder": str(folder),
            "files": [str(each) for each in files],
            "seconds": seconds,
        }
        started = time.monotonic()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        code, megabytes = json.loads(self._process.stdout.readline())
        out, err = (each.read_text(errors="replace") for each in files)
        return Outcome(code, out, err, time.monotonic() - started, megabytes)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def _become(job: dict[str, Any]) -> None:
    os.chdir(job["folder"])
    signal.alarm(job["seconds"])
    for number, name in enumerate([os.devnull, *job["files"]]):
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.argv = ["gla", *job["arguments"]]


def main() -> None:
    from pandera.backends.polars.register import register_polars_backends

    from apps.cli.main import program

    for name in ("apps.cli.contract", "core.settings", "hypothesis"):
        importlib.import_module(name)
    register_polars_backends()
    gc.collect()
    gc.freeze()  # what is shared with the children stays shared
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(job)
            program()
            return
        _, status, used = os.wait4(child, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024]), flush=True)


if __name__ == "__main__":
    main()
