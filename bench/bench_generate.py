"""Make up rows with `gla data generate` (start-up included): how fast, and in how much memory."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import run

ROWS = int(os.environ.get("GLA_BENCH_GENERATED_ROWS", "24000000"))


def measure(work: Path) -> dict[str, float]:
    """The product that all other benchmarks use; the file is deleted with the work folder."""
    command = [*run.GLA, "data", "generate", "inkomstenverhoudingen"]
    command += ["--rows", str(ROWS), "--out", str(work / "made.parquet")]
    measured = [run.timed(command, run.ENVIRONMENT) for _ in range(run.PAIRS)]
    return {
        "generate_rows_per_s": ROWS / statistics.median(seconds for seconds, _ in measured),
        "generate_peak_rss_mb": max(megabytes for _, megabytes in measured),
    }
