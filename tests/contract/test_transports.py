"""Every transport keeps the same promises, on a folder and on a real OpenSSH server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import DestinationRefused, UnusableInput
from core.ids import new_id
from tests.servers.openssh import OpenSshServer
from transports.base import Receipt, Stat, Transport
from transports.directory import DirectoryTransport
from transports.publishing import publish
from transports.sftp import SftpDestination, SftpTransport

pytestmark = pytest.mark.server

SIZES = [0, 1, 261_119, 261_120, 261_121, 5 * 1024 * 1024 + 17]  # around one request, and more than the pipeline holds


@pytest.fixture(params=["directory", "sftp"])
def far_root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where the transport's names stand on this machine, so that a test can look behind it."""
    if request.param == "directory":
        root = tmp_path / "far"
    else:
        server: OpenSshServer = request.getfixturevalue("openssh")
        root = server.root / new_id()
    root.mkdir()
    return root


@pytest.fixture
def transport(request: pytest.FixtureRequest, far_root: Path) -> Iterator[Transport]:
    if request.node.callspec.params["far_root"] == "directory":
        made: Transport = DirectoryTransport(far_root)
    else:
        server: OpenSshServer = request.getfixturevalue("openssh")
        made = SftpTransport(
            SftpDestination("127.0.0.1", server.port, server.user, str(far_root), server.host_key, server.user_key)
        )
    with made:
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * 1024 * 1024 + 5))
    return path


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_is_read_back_with_the_same_size_and_digest(
    transport: Transport, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "source"
    data = os.urandom(size)
    source.write_bytes(data)
    assert transport.put(source, "file.age") == Receipt("file.age", size, hashlib.sha256(data).hexdigest())
    assert transport.stat("file.age") == Stat(size, is_directory=False)
    assert b"".join(transport.read("file.age")) == data


@pytest.mark.parametrize("offset", [1, 261_120, 3 * 1024 * 1024, 3 * 1024 * 1024 + 5, 9_000_000])
def test_reading_from_an_offset_gives_the_rest_of_the_file(transport: Transport, source: Path, offset: int) -> None:
    transport.put(source, "file.age")
    assert b"".join(transport.read("file.age", offset)) == source.read_bytes()[offset:]


@pytest.mark.parametrize("size", [0, 1, 261_120, 1_044_481, 2 * 1024 * 1024])
@pytest.mark.parametrize("offset", [0, 7, 3 * 1024 * 1024, 9_000_000])
def test_a_ranged_read_gives_that_range_and_nothing_beyond_it(
    transport: Transport, source: Path, offset: int, size: int
) -> None:
    transport.put(source, "file.age")
    assert b"".join(transport.read("file.age", offset, size)) == source.read_bytes()[offset : offset + size]


def test_reading_that_stops_early_leaves_the_transport_usable(transport: Transport, source: Path) -> None:
    transport.put(source, "file.age")
    blocks = transport.read("file.age")
    first = next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert source.read_bytes().startswith(first)
    assert b"".join(transport.read("file.age")) == source.read_bytes()


def test_a_file_is_never_overwritten(transport: Transport, source: Path) -> None:
    transport.put(source, "file.age")
    with pytest.raises(DestinationRefused):
        transport.put(source, "file.age")
    assert b"".join(transport.read("file.age")) == source.read_bytes()


def test_a_file_in_a_folder_that_is_not_there_is_refused(transport: Transport, source: Path) -> None:
    with pytest.raises(DestinationRefused):
        transport.put(source, "nowhere/file.age")
    with pytest.raises(DestinationRefused):
        list(transport.read("nowhere/file.age"))
    with pytest.raises(DestinationRefused):
        transport.list("nowhere")


def test_a_refusal_leaves_the_transport_usable_and_carries_no_foreign_error(transport: Transport, source: Path) -> None:
    with pytest.raises(DestinationRefused) as caught:
        transport.list("nowhere")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert transport.put(source, "file.age").size == source.stat().st_size


def test_our_own_file_that_is_gone_is_not_blamed_on_the_destination(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"our copy of file\.age"):
        transport.put(tmp_path / "gone", "file.age")


def test_folders_are_made_with_those_above_them_and_again_without_harm(transport: Transport) -> None:
    for _ in range(2):
        transport.make_directory("a/b/.staging-edition-1-7")
    assert transport.list("a/b") == [".staging-edition-1-7"]
    assert transport.stat("a/b/.staging-edition-1-7") == Stat(0, is_directory=True)


def test_what_is_not_there_has_no_stat_and_is_deleted_without_harm(transport: Transport) -> None:
    assert transport.stat("a/b") is None
    transport.delete("a/b")


def test_a_folder_is_listed_in_order_with_its_hidden_names(transport: Transport, source: Path) -> None:
    transport.make_directory("a")
    for name in ["b.age", "a.age", "B.age"]:
        transport.put(source, f"a/{name}")
    transport.make_directory("a/.staging-x-1")
    assert transport.list("a") == [".staging-x-1", "B.age", "a.age", "b.age"]


def test_a_whole_folder_gets_another_name_at_once(transport: Transport, source: Path) -> None:
    transport.make_directory("a/.staging-e-1")
    transport.put(source, "a/.staging-e-1/file.age")
    transport.rename("a/.staging-e-1", "a/e")
    assert transport.list("a") == ["e"]
    assert b"".join(transport.read("a/e/file.age")) == source.read_bytes()


@pytest.mark.parametrize("filled", [True, False], ids=["filled", "empty"])
def test_a_folder_never_replaces_another_one(transport: Transport, source: Path, filled: bool) -> None:
    transport.make_directory("new")
    transport.make_directory("old")
    if filled:
        transport.put(source, "old/file.age")
    with pytest.raises(DestinationRefused):
        transport.rename("new", "old")
    assert transport.list("old") == (["file.age"] if filled else [])


def test_a_file_never_replaces_another_one(transport: Transport, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    transport.put(source, "old")
    transport.put(other, "new")
    with pytest.raises(DestinationRefused):
        transport.rename("new", "old")
    assert b"".join(transport.read("old")) == source.read_bytes()


def test_deleting_a_folder_deletes_what_is_in_it_and_follows_no_link(
    transport: Transport, source: Path, far_root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    transport.make_directory("a/b")
    transport.put(source, "a/b/file.age")
    (far_root / "a" / "link").symlink_to(outside)
    transport.delete("a")
    assert transport.stat("a") is None
    assert (outside / "kept").read_bytes() == b"kept"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", ".hidden", "a\0b", "a\nb", "é", ".staging-", "a\\b"],
)
def test_a_name_that_climbs_or_hides_is_refused_by_every_method(transport: Transport, source: Path, name: str) -> None:
    for attempt in (
        lambda: transport.put(source, name),
        lambda: list(transport.read(name)),
        lambda: transport.rename(name, "x"),
        lambda: transport.rename("x", name),
        lambda: transport.stat(name),
        lambda: transport.list(name),
        lambda: transport.delete(name),
        lambda: transport.make_directory(name),
    ):
        with pytest.raises(UnusableInput):
            attempt()


def test_a_delivery_is_published_under_its_folder_and_nothing_else_stays(
    transport: Transport, source: Path, far_root: Path
) -> None:
    receipts = publish(transport, {"b.age": source, "a.age": source}, "GLA-1/2026-03/edition-1", "4")
    assert [receipt.name for receipt in receipts] == ["b.age", "a.age"]
    assert {receipt.sha256 for receipt in receipts} == {hashlib.sha256(source.read_bytes()).hexdigest()}
    found = sorted(str(path.relative_to(far_root)) for path in far_root.rglob("*") if path.is_file())
    assert found == ["GLA-1/2026-03/edition-1/a.age", "GLA-1/2026-03/edition-1/b.age"]
    assert transport.list("GLA-1/2026-03") == ["edition-1"]
