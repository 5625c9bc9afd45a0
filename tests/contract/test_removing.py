"""A delivery is removed as a whole from every kind of destination, and what is beside it stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.errors import ReadBackMismatch
from tests.contract.test_transports import FOLDERS, OBJECTS, ON_DISK, bucket, made, made_far_root
from tests.memory_transport import MemoryFolders, MemoryObjects
from transports.base import Destination, FolderTransport
from transports.publishing import has_appeared, publish
from transports.removing import remove

__all__ = ["bucket"]
pytestmark = pytest.mark.server

DELIVERY, MARK = "GLA-1/2026-03/edition-1", "manifest.json"


@pytest.fixture(params=[*FOLDERS, *OBJECTS])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Destination]:
    root = made_far_root(request, request.param, tmp_path) if request.param in ON_DISK else None
    with made(request, request.param, root) as opened:
        yield opened


@pytest.fixture
def deliver(tmp_path: Path) -> Callable[..., None]:
    def deliver(transport: Destination, directory: str = DELIVERY) -> None:
        files = {}
        for name in ("a.age", "b.age", MARK):
            files[name] = tmp_path / name
            files[name].write_bytes(name.encode() * 1000)
        publish(transport, files, directory, "t1")

    return deliver


def test_it_is_gone_and_the_one_beside_it_is_not(transport: Destination, deliver: Callable[..., None]) -> None:
    for name in (DELIVERY, f"{DELIVERY}0", "GLA-1/2026-04/edition-1"):
        deliver(transport, name)
    assert remove(transport, DELIVERY, MARK)
    assert transport.stat(DELIVERY) is None
    assert transport.list("GLA-1/2026-03") == ["edition-10"]
    assert has_appeared(transport, f"{DELIVERY}0", MARK)
    assert len(transport.list("GLA-1/2026-04/edition-1")) == 3
    deliver(transport)
    assert has_appeared(transport, DELIVERY, MARK)


def test_to_remove_it_again_changes_nothing(transport: Destination, deliver: Callable[..., None]) -> None:
    assert not remove(transport, DELIVERY, MARK)
    deliver(transport)
    assert remove(transport, DELIVERY, MARK)
    assert not remove(transport, DELIVERY, MARK)


@pytest.mark.parametrize("transport", FOLDERS, indirect=True)
def test_what_was_staged_for_it_goes_too(
    transport: FolderTransport, deliver: Callable[..., None], tmp_path: Path
) -> None:
    deliver(transport)
    for name in ("edition-1-t0", "edition-10-t0"):
        transport.make_directory(f"GLA-1/2026-03/.staging-{name}")
        transport.put(tmp_path / "a.age", f"GLA-1/2026-03/.staging-{name}/a.age")
    remove(transport, DELIVERY, MARK)
    assert transport.list("GLA-1/2026-03") == [".staging-edition-10-t0"]


@pytest.mark.parametrize("kind", [MemoryFolders, MemoryObjects])
def test_nobody_sees_a_part_of_what_is_being_removed(
    kind: type[MemoryFolders | MemoryObjects], deliver: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = kind()
    deliver(transport)
    seen: list[list[str]] = []
    real = kind.delete

    def delete(self: MemoryFolders | MemoryObjects, name: str) -> None:
        seen.append(sorted(each for each in self.files if each.startswith(f"{DELIVERY}/")))
        real(self, name)

    monkeypatch.setattr(kind, "delete", delete)
    remove(transport, DELIVERY, MARK)
    whole = 3
    after_the_first = seen[1:]
    assert len(seen[0]) == whole
    assert all(f"{DELIVERY}/{MARK}" not in names for names in after_the_first)


@pytest.mark.parametrize("kind", [MemoryFolders, MemoryObjects])
def test_a_destination_that_keeps_it_all_the_same_is_found_out(
    kind: type[MemoryFolders | MemoryObjects], deliver: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = kind()
    deliver(transport)
    monkeypatch.setattr(kind, "delete", lambda *_: None)
    with pytest.raises(ReadBackMismatch, match="still at the destination"):
        remove(transport, DELIVERY, MARK)
