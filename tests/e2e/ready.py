"""The program in an interpreter that has imported it: each run is a process of its own, and begins at once.

`python -m tests.e2e.ready` never runs a query (the threads of Polars and Arrow do not survive a fork) and forks a child
for each job: one JSON line in, one out. The child has its own folder and output, runs `gla` and ends as Python ends, so
that its exit code, or the signal that ended it, and its memory are those of the program.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import interpreter
from tests.interpreter import Interpreter


@dataclass(frozen=True)
class Outcome:
    """`code` is less than zero where a signal ended it."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: int


class Ready(Interpreter):
    """The other end: starts the interpreter, and has it run the program."""

    def __init__(self) -> None:
        super().__init__("tests.e2e.ready", {"PATH": "/usr/bin"})

    def run(self, *arguments: str, folder: Path, output: Path, seconds: int) -> Outcome:
        """In `folder`; what it writes goes to two new files in `output`. After so many seconds it is ended."""
        files = [output / name for name in ("out", "err")]
        started = time.monotonic()
        self.ask({"arguments": arguments, "folder": folder, "files": files, "seconds": seconds})
        code, megabytes = self.answer()
        out, err = (each.read_text(errors="replace") for each in files)
        return Outcome(code, out, err, time.monotonic() - started, megabytes)


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
    for job in interpreter.jobs():
        child = os.fork()
        if child == 0:
            _become(job)
            program()
            return
        _, status, used = os.wait4(child, 0)
        interpreter.reply([os.waitstatus_to_exitcode(status), used.ru_maxrss // 1024])


if __name__ == "__main__":
    main()
