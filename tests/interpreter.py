"""A Python interpreter beside the tests that has imported what its jobs need: one line of JSON asks, one answers."""

from __future__ import annotations

import gc
import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]


class Interpreter:
    """The end of the tests: starts `python -m MODULE`, and hands it jobs."""

    def __init__(self, module: str, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=_ROOT, text=True, env=environment,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._jobs, self._answers = self._process.stdin, self._process.stdout

    def ask(self, job: Mapping[str, Any]) -> None:
        self._jobs.write(json.dumps(job, default=str) + "\n")
        self._jobs.flush()

    def answer(self) -> Any:
        return json.loads(self._answers.readline())

    def has_answer(self, seconds: float) -> bool:
        """Whether it comes within so many seconds."""
        return bool(select.select([self._answers], [], [], seconds)[0])

    def close(self) -> None:
        self._jobs.close()
        self._process.wait(60)
        self._answers.close()


def jobs() -> Iterator[dict[str, Any]]:
    """In the interpreter, when all is imported: what it is asked, until its end."""
    gc.collect()
    gc.freeze()  # what is shared with the children stays shared
    for line in sys.stdin:
        yield json.loads(line)


def reply(answer: Any) -> None:
    print(json.dumps(answer), flush=True)
