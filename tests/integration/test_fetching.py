"""A recipient fetches from a drop zone as the demo does: with OpenSSH's client, and with ours where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apps.cli.fetching import fetch
from core.errors import DestinationError
from tests.servers.dropzone import DELIVERY, DropzoneWorld
from tests.servers.openssh import public_line

pytestmark = pytest.mark.server

LARGE = bytes(range(256)) * 20_000  # more than a transport reads at once


@pytest.fixture
def world(tmp_path: Path, require_program: Callable[[str], str]) -> Iterator[DropzoneWorld]:
    require_program("sftp")
    require_program("ssh-keygen")
    world = DropzoneWorld.make(tmp_path)
    world.put("fonds", "GLA-2/2026-04/edition-1/large.parquet.age", LARGE)
    world.put("fonds", "GLA-2/2026-04/edition-1/empty.csv.age", b"")
    with world.running():
        yield world


@pytest.fixture
def without_openssh(world: DropzoneWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))


def fetched(world: DropzoneWorld, target: Path, user: str = "fonds") -> str:
    return fetch(world.port, public_line(world.keys / "host"), user, world.keys / user, target)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder`, with the content of the files."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_without_openssh_the_same_tree_is_fetched(
    world: DropzoneWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fetched(world, tmp_path / "by-openssh" / "fetched") == "OpenSSH sftp"
    monkeypatch.setenv("PATH", str(tmp_path / "no-programs"))
    assert fetched(world, tmp_path / "by-ours" / "fetched") == "paramiko"
    found = tree(tmp_path / "by-ours" / "fetched")
    assert found == tree(tmp_path / "by-openssh" / "fetched")
    assert found[f"{DELIVERY}/data.parquet.age"] == b"fonds" * 100_000
    assert found["GLA-2/2026-04/edition-1/large.parquet.age"] == LARGE
    assert found["GLA-2/2026-04/edition-1/empty.csv.age"] == b""


@pytest.mark.usefixtures("without_openssh")
def test_without_openssh_a_recipient_gets_its_own_deliveries_only(world: DropzoneWorld, tmp_path: Path) -> None:
    fetched(world, tmp_path / "fetched", "other")
    assert tree(tmp_path / "fetched")[f"{DELIVERY}/data.parquet.age"] == b"other" * 100_000
    assert not (tmp_path / "fetched" / "GLA-2").exists()


@pytest.mark.usefixtures("without_openssh")
def test_without_openssh_a_server_with_another_host_key_is_refused(world: DropzoneWorld, tmp_path: Path) -> None:
    with pytest.raises(DestinationError, match="host key"):
        fetch(world.port, public_line(world.keys / "stranger"), "fonds", world.keys / "fonds", tmp_path / "fetched")
    assert not list((tmp_path / "fetched").iterdir())
