"""The README's block for your own data, run as it stands by bash."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tests.servers.openssh import free_port

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.server


def own_data_block() -> str:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Your own data in ten lines", 1)[1]
    match = re.search(r"```bash\n(.*?)```", section, re.DOTALL)
    assert match
    return match[1]


def test_your_own_data_in_ten_lines_works_as_written(tmp_path, require_program):
    require_program("sftp")
    days = [date(2026, 2, 20) + timedelta(days=number // 4) for number in range(200)]
    trips = pl.DataFrame(
        {
            "day": days,
            "driver": [f"0{number:05d}" for number in range(200)],  # digits with a leading zero must survive
            "stops": list(range(200)),
            "price": [number / 4 for number in range(200)],
            "remark": [None if number % 3 else f'said "ok", {number}' for number in range(200)],
        }
    )
    trips.write_csv(tmp_path / "trips.csv")
    script = "set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n" + own_data_block().replace("2022", str(free_port()))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment.pop("GLA_HOME", None)
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    opened = tmp_path / "deliveries" / "GLA-1" / "2026-03" / "edition-1-opened" / "trips.parquet"
    expected = trips.filter(pl.col("day").dt.month() == 3)
    assert pl.read_parquet(opened).equals(expected), done.stdout
