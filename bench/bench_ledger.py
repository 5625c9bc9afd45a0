"""Verify a ledger of a million events, and append to it, on SQLite and on PostgreSQL.

The events are those of deliveries, twelve each, with details as long as real ones; each delivery has a signed
checkpoint, as each publication gets one. `gla ledger verify` runs as a command, start-up and signatures included.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import run

EVENTS = int(os.environ.get("GLA_BENCH_EVENTS", "1000000"))
APPENDED = 2_000


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    few = _measured(work / "few", f"sqlite:///{work / 'few.db'}", EVENTS // 4, 0)
    many = _measured(work / "many", f"sqlite:///{work / 'many.db'}", EVENTS, APPENDED)
    from tests.servers.postgres import start_postgres  # noqa: PLC0415 - its memory would be that of what is measured

    with start_postgres() as server:
        with server.connect("postgres") as connection:
            connection.execute("ALTER SYSTEM SET fsync = on")
            connection.execute("SELECT pg_reload_conf()")
        place = f"postgresql://postgres@/{server.create_database()}?host={server.socket.parent}"
        there = _measured(work / "postgres", place, EVENTS, APPENDED)
    return {
        "ledger_verify_events_per_s": many[0],
        "ledger_verify_peak_rss_mb": many[1],
        "ledger_verify_rss_growth": many[1] / few[1],
        "append_events_per_s": many[2],
        "postgres_ledger_verify_events_per_s": there[0],
        "postgres_append_events_per_s": there[2],
    }


def _measured(home: Path, url: str, events: int, appended: int) -> tuple[float, float, float]:
    """Events verified per second, peak memory in MB, events appended per second."""
    environment = {**run.ENVIRONMENT, "PYTHONPATH": str(run.ROOT), "GLA_HOME": str(home), "GLA_DATABASE_URL": url}
    making = [sys.executable, str(run.ROOT / "bench" / "ledger_making.py"), str(home), url, str(events), str(appended)]
    made, rate = subprocess.run(making, env=environment, check=True, capture_output=True, text=True).stdout.split()
    seconds, megabytes = run.timed([*run.GLA, "ledger", "verify"], environment)
    print(f"  {made} events verified in {seconds:.1f} s, {megabytes:.0f} MB; {float(rate):.0f} appended per second")
    return int(made) / seconds, megabytes, float(rate)
