"""Processes that begin where everything is imported, so that killing one costs tenths of a second.

`python -m tests.crash.nursery` imports all, never runs a query (the threads of Polars and Arrow do not survive a
fork), and forks a child for each job: one JSON line in, one out. The child writes what it has to tell to a file in
memory, where it stays when it is killed. A child that stops itself is left so, until a job says that it goes on.
"""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from tests import interpreter
from tests.interpreter import Interpreter

Job = dict[str, Any]


class Nursery(Interpreter):
    """The other end: starts a nursery, and hands it jobs."""

    def __init__(self) -> None:
        environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "POLARS_MAX_THREADS": "1"}
        super().__init__("tests.crash.nursery", environment)

    def do(self, job: str, **given: Any) -> Any:
        """What came of it: `told`, a list of messages, and `status`, the exit code or less than zero, a signal."""
        self.begin(job, **given)
        return self.answer()

    def begin(self, job: str, **given: Any) -> None:
        self.ask({"job": job, **given})


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
    stopped: Child | None = None
    for job in interpreter.jobs():
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
        interpreter.reply(answer)


if __name__ == "__main__":
    main()
