"""The built wheel in a clean environment: package data is in it, and the main job runs from it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("gla-*.whl"))


@pytest.fixture(scope="module")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment of its own with the wheel; the locked dependencies are lent from ours, the project is not."""
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    site = Path(
        subprocess.check_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
        .strip()
        .decode()
    )
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def test_the_wheel_holds_code_and_package_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "core", "schemas", "keys", "transports", "agreements", "ledger", "flows", "apps",
    }  # fmt: skip
    for needed in ("core/migrations/versions/0001_ledger.py", "apps/cli/templates/history.html.j2",
                   "schemas/products/inkomstenverhoudingen.odcs.yaml"):  # fmt: skip
        assert needed in names


def test_the_main_job_runs_from_the_wheel(clean, tmp_path):
    environment = {"PATH": f"{clean}/bin:{os.environ['PATH']}", "HOME": str(tmp_path)}
    script = ["bash", str(Path(__file__).with_name("main_job.sh"))]
    done = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "opened" / "ikv.parquet").is_file()
    assert "GLA-1" in (tmp_path / "history.html").read_text()
