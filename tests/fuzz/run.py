"""Search longer than the tests do: `python -m tests.fuzz.run contract|data --minutes 30 [--start N]`.

Each input is tried in a process of its own kind: one that takes numbers, and is replaced if it dies or hangs. Prints
every finding with its number, and at the end how many were tried.
"""

from __future__ import annotations

import argparse
import resource
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

MEMORY = 8 * 1024**3  # of address space for a worker: what asks for more fails there, and not the machine
HANGS_AFTER = 60.0  # seconds of the clock


class Worker:
    """A process that tries one number at a time, and may die of it."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, seed: int) -> str:
        """What became of it; what begins with FINDING should not have been."""
        process = self._process or self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{seed}\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], HANGS_AFTER)
        line = process.stdout.readline() if ready else ""
        if line:
            return line.strip()
        if not ready:
            process.kill()
        code = process.wait()
        self._process = None
        return "FINDING hangs" if not ready else f"FINDING the process died with {code}"

    def close(self) -> None:
        if self._process is not None:
            self._process.communicate()  # closes its input, which ends it
            self._process = None

    def _started(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.fuzz.run", self._target, "--worker"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return self._process


def search(target: str, seeds: Iterator[int], told: Callable[[str], None]) -> Counter[str]:
    """Try every number; `told` hears of findings."""
    worker, counts = Worker(target), Counter[str]()
    try:
        for seed in seeds:
            outcome = worker.outcome(seed)
            counts[outcome.split()[0]] += 1
            if outcome.startswith("FINDING"):
                told(f"{target} {seed}: {outcome}")
    finally:
        worker.close()
    return counts


def work(target: str) -> None:
    """Be a worker: numbers in, outcomes out."""
    from schemas.validation import prove_it_fails
    from tests.fuzz.targets import TARGETS, Finding

    prove_it_fails()  # imports what validation needs, which counts for nobody
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        try:
            outcome = TARGETS[target](int(line))
        except Finding as finding:
            outcome = "FINDING " + " ".join(str(finding).split())[:300]
        sys.stdout.write(outcome + "\n")
        sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["contract", "data"])
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--start", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.target)
        return
    end = time.monotonic() + 60 * arguments.minutes

    def seeds() -> Iterator[int]:
        seed = arguments.start
        while time.monotonic() < end:
            yield seed
            seed += 1

    counts = search(arguments.target, seeds(), lambda line: print(line, flush=True))
    print(f"{arguments.target}: {counts.total()} tried: {dict(counts)}")


if __name__ == "__main__":
    main()
