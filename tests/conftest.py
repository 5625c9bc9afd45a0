"""What all tests share: servers, where a program is, and that a missing one is a failure under CI."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests.servers.ceph import s3
from tests.servers.postgres import postgresql_database, postgresql_server
from tests.servers.softhsm import softhsm_environment

# here, so that a test process has one of each
__all__ = ["postgresql_database", "postgresql_server", "s3", "softhsm_environment"]

settings.register_profile("without a deadline", deadline=None)  # machines are slow at times, and that is no fault
settings.load_profile("without a deadline")
_SBIN = os.pathsep.join(["/usr/local/sbin", "/usr/sbin", "/sbin"])


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], str]:
    """The path of an installed program; skips where it is absent, and fails instead of skipping under CI=true."""

    def require(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path=_SBIN)
        if path is None and os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed, and under CI a real-server test may not be skipped")
        if path is None:
            pytest.skip(f"{name} is not installed")
        return path

    return require


@pytest.fixture(scope="session")
def shared_vectors() -> Path:
    """The folder of public test vectors beside the project; skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "vectors"
    if not folder.is_dir():
        pytest.skip("the shared test vectors are not beside the project")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What searches at random can search longer: `make soak` runs these with many more examples."""
    for item in items:
        if "/property/" in item.nodeid or item.nodeid.startswith("property/"):
            item.add_marker(pytest.mark.soak)
