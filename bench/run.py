"""Measure the product against what a user would pick instead, side by side in one run; write bench/results.json.

Of a delivery both sides read the same Parquet source and send to the same OpenSSH server. Ours validates, signs,
records and reads back what landed; the shell pipeline does none of that.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
GLA = [str(ROOT / ".venv-run" / "bin" / "python"), "-m", "apps.cli.main"]  # as in production
ENVIRONMENT = dict(os.environ)  # before anything is imported that changes it, as Polars does
PAIRS = int(os.environ.get("GLA_BENCH_PAIRS", "3"))


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run a command to its successful end; wall seconds and peak resident MB of it and its waited-for children."""
    started = time.perf_counter()
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{command[0]} failed")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def generated(product: str, path: Path, rows: int) -> None:
    """Synthetic data, made by a child: a process starts with the peak memory of the one that started it."""
    command = ["data", "generate", product, "--rows", str(rows), "--seed", "1", "--out", str(path)]
    subprocess.run([*GLA, *command], check=True, stdout=subprocess.DEVNULL)


def pairs(
    ours: Callable[[int], tuple[float, float]], theirs: Callable[[int], tuple[float, float]], count: int = PAIRS
) -> dict[str, float]:
    """Run both in turn, `count` times after a warm-up; medians of seconds and of the ratio, and our largest memory."""
    mine, other, memory = [], [], []
    for number in range(count + 1):
        seconds, megabytes = ours(number)
        against, _ = theirs(number)
        if number:
            mine.append(seconds)
            other.append(against)
            memory.append(megabytes)
        sys.stdout.write(f"  ours {seconds:.2f} s, theirs {against:.2f} s{'' if number else ' (warm-up)'}\n")
        sys.stdout.flush()
    ratio = statistics.median(a / b for a, b in zip(mine, other, strict=True))
    return {
        "ratio": ratio, "ours": statistics.median(mine), "theirs": statistics.median(other), "rss": max(memory),
    }  # fmt: skip


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory_gib": round(memory / 2**30), "python": platform.python_version()}


def main() -> None:
    """Run every benchmark module named on the command line, or all; keep the results of the others."""
    path = ROOT / "bench" / "results.json"
    results = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else {}
    for name in sys.argv[1:] or [
        "deliver",
        "dropzone",
        "envelope",
        "generate",
        "history",
        "ledger",
        "postgres",
        "subject",
        "transports",
        "validate",
    ]:
        sys.stdout.write(f"{name}:\n")
        work = Path(tempfile.mkdtemp(prefix="gla-bench-"))
        try:
            results |= {
                key: round(value, 3) for key, value in importlib.import_module(f"bench_{name}").measure(work).items()
            }
        finally:
            shutil.rmtree(work)
    path.write_text(json.dumps({"machine": machine(), "results": results}, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(path.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
