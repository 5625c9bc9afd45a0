"""Processes that begin where everything is imported, so that killing one costs tenths of a second.

`python -m tests.crash.nursery` imports all, never runs a query (the threads of Polars and Arrow do not survive a
fork), and forks a child for each job: one JSON line in, one out. The child writes what it has to tell to a file in
memory, where it stays when it is killed. A child that stops itself is left so, until a job says that it goes on.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
Job = dict[str, Any]


class Nursery:
    """The other end: starts a nursery, and hands it jobs."""

    def __init__(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "POLARS_MAX_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.nursery"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, text=True, env=environment,
        )  # fmt: skip

    def do(self, job: str, **given: Any) -> Any:
        """What came of it: `told`, a list of messages, and `status`, the exit code or less than zero, a signal."""
        self.begin(job, **given)
        return self.answer()

    def begin(self, job: str, **given: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"job": job, **given}, default=str) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def has_answer(self, seconds: float) -> bool:
        """Whether it comes within so many seconds."""
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Child:
    """A forked process that does one job and tells about it."""

    def __init__(self, work: Callable[[Callable[[Any], None]], None]) -> None:
        self._memory = os.memfd_create("told")
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                work(self._tell)
                status = 0
            except BaseException:  # noqa: BLE001 - it must not return into the nursery
                self._tell({"error": traceback.format_exc()})
            finally:
                os._exit(status)

    def _tell(self, message: Any) -> None:
        os.write(self._memory, json.dumps(message).encode() + b"\n")

    def ended(self) -> dict[str, Any]:
        """When it has, or has stopped."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        told = [json.loads(line) for line in os.pread(self._memory, 2**24, 0).splitlines()]
        if os.WIFSTOPPED(status):
            return {"told": told, "status": "stopped", "by": os.WSTOPSIG(status)}
        os.close(self._memory)
        return {"told": told, "status": os.waitstatus_to_exitcode(status)}


def main() -> None:
    from tests.crash import jobs

    jobs.warm()
    gc.collect()
    gc.freeze()  # what is shared with the children stays shared
    stopped: Child | None = None
    for line in sys.stdin:
        job = json.loads(line)
        name = job.pop("job")
        answer: Any
        if name == "continue":
            assert stopped is not None
            os.kill(stopped.pid, signal.SIGCONT)
            answer = stopped.ended()
        elif name == "storm":
            answer = jobs.storm(**job)
        else:
            work = getattr(jobs, name)
            child = Child(lambda tell, work=work, job=job: work(tell, **job))
            answer = child.ended()
            stopped = child if answer["status"] == "stopped" else stopped
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
