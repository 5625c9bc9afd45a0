"""Every transport keeps the same promises: a folder, a real OpenSSH server, a real S3 (Ceph), and memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import DestinationRefused, DestinationUnreachable, ReadBackMismatch, UnusableInput
from core.ids import new_id
from tests.memory_transport import MemoryFolders, MemoryObjects
from tests.servers.ceph import S3Server
from tests.servers.openssh import OpenSshServer
from transports.base import Destination, FolderTransport, ObjectTransport, Receipt, Stat, digested
from transports.directory import DirectoryTransport
from transports.publishing import has_appeared, publish
from transports.s3 import S3Transport
from transports.s3_client import S3Destination
from transports.sftp import SftpDestination, SftpTransport

pytestmark = pytest.mark.server

SIZES = [0, 1, 261_119, 261_120, 261_121, 5 * 1024 * 1024 + 17]  # around one request, and more than the pipeline holds
MIB = 1024 * 1024
DELIVERY = "GLA-1/2026-03/edition-1"
ON_DISK = ["directory", "sftp"]
FOLDERS = [*ON_DISK, "memory with folders"]
OBJECTS = ["s3", "memory with objects"]


@pytest.fixture(scope="session")
def bucket(s3: S3Server) -> str:
    name = f"b{new_id()}"
    s3.client().create_bucket(Bucket=name)
    return name


def made_far_root(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Path:
    if kind == "directory":
        root = tmp_path / "far"
    else:
        server: OpenSshServer = request.getfixturevalue("openssh")
        root = server.root / new_id()
    root.mkdir()
    return root


def made(request: pytest.FixtureRequest, kind: str, root: Path | None) -> Destination:
    if kind == "memory with folders":
        return MemoryFolders()
    if kind == "memory with objects":
        return MemoryObjects()
    if kind == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        key = f"{s3.access_key}:{s3.secret_key}"
        bucket = request.getfixturevalue("bucket")
        return S3Transport(S3Destination(s3.endpoint, "us-east-1", bucket, f"far/{new_id()}", lambda: key))
    assert root is not None
    if kind == "directory":
        return DirectoryTransport(root)
    server: OpenSshServer = request.getfixturevalue("openssh")
    return SftpTransport(
        SftpDestination("127.0.0.1", server.port, server.user, str(root), server.host_key, server.user_key)
    )


KINDS = {"on_disk": ON_DISK, "folders": FOLDERS, "objects": OBJECTS, "transport": [*FOLDERS, *OBJECTS]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs on the kinds of the fixture that it asks for."""
    asked = [name for name in KINDS if name in metafunc.fixturenames]
    if asked:
        metafunc.parametrize("kind", KINDS[asked[0]])


@pytest.fixture
def far_root(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Path | None:
    """Where the transport's names stand on this machine, if they do."""
    return made_far_root(request, kind, tmp_path) if kind in ON_DISK else None


@pytest.fixture
def transport(request: pytest.FixtureRequest, kind: str, far_root: Path | None) -> Iterator[Destination]:
    with made(request, kind, far_root) as opened:
        yield opened


@pytest.fixture
def folders(transport: Destination) -> FolderTransport:
    assert isinstance(transport, FolderTransport)
    return transport


@pytest.fixture
def objects(transport: Destination) -> ObjectTransport:
    assert not isinstance(transport, FolderTransport)
    return transport


@pytest.fixture
def on_disk(folders: FolderTransport, far_root: Path | None) -> tuple[FolderTransport, Path]:
    """And where it keeps its files, so that a test can look behind it."""
    assert far_root is not None
    return folders, far_root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(os.urandom(3 * 1024 * 1024 + 5))
    return path


@pytest.mark.parametrize("size", SIZES)
def test_what_is_put_is_read_back_with_the_same_size_and_digest(
    transport: Destination, tmp_path: Path, size: int
) -> None:
    source = tmp_path / "source"
    data = os.urandom(size)
    source.write_bytes(data)
    assert transport.put(source, "file.age") == Receipt("file.age", size, hashlib.sha256(data).hexdigest())
    assert transport.stat("file.age") == Stat(size, is_directory=False)
    assert b"".join(transport.read("file.age")) == data


def test_a_ranged_read_gives_that_range_and_nothing_beyond_it(transport: Destination, source: Path) -> None:
    transport.put(source, "file.age")
    content = source.read_bytes()
    for offset in (0, 1, 7, 261_120, 3 * MIB, 3 * MIB + 5, 9_000_000):
        assert b"".join(transport.read("file.age", offset)) == content[offset:]
        for size in (0, 1, 261_120, 1_044_481, 2 * MIB):
            assert b"".join(transport.read("file.age", offset, size)) == content[offset : offset + size]


def test_reading_that_stops_early_leaves_the_transport_usable(transport: Destination, source: Path) -> None:
    transport.put(source, "file.age")
    blocks = transport.read("file.age")
    first = next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    assert source.read_bytes().startswith(first)
    assert b"".join(transport.read("file.age")) == source.read_bytes()


def test_a_file_is_never_overwritten(transport: Destination, source: Path) -> None:
    transport.put(source, "file.age")
    with pytest.raises(DestinationRefused):
        transport.put(source, "file.age")
    assert b"".join(transport.read("file.age")) == source.read_bytes()


@pytest.mark.parametrize("left", [0, MIB, 2 * MIB + 3, 3 * MIB + 5], ids=["nothing", "a block", "a part", "all"])
def test_what_an_earlier_attempt_left_is_completed_to_the_same_file(
    transport: Destination, source: Path, tmp_path: Path, left: int
) -> None:
    start = tmp_path / "start"
    start.write_bytes(source.read_bytes()[:left])
    if left:
        transport.put(start, "file.age")
    assert transport.resume(source, "file.age").sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert b"".join(transport.read("file.age")) == source.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 2 * MIB, 3 * MIB + 5, 3 * MIB + 6])
def test_other_bytes_under_the_name_are_replaced_and_not_completed(
    transport: Destination, source: Path, tmp_path: Path, size: int
) -> None:
    other = tmp_path / "other"
    other.write_bytes(os.urandom(size))
    transport.put(other, "file.age")
    transport.resume(source, "file.age")
    assert b"".join(transport.read("file.age")) == source.read_bytes()


def test_what_stands_there_already_is_not_sent_again(
    on_disk: tuple[FolderTransport, Path], source: Path, tmp_path: Path
) -> None:
    transport, root = on_disk
    start = tmp_path / "start"
    start.write_bytes(source.read_bytes()[: 2 * MIB])
    transport.put(start, "file.age")
    inode = (root / "file.age").stat().st_ino
    transport.resume(source, "file.age")
    assert (root / "file.age").stat().st_ino == inode
    whole = (root / "file.age").stat()
    transport.resume(source, "file.age")
    assert (root / "file.age").stat().st_size == whole.st_size


def test_an_object_that_reads_back_as_ours_is_not_sent_again(objects: ObjectTransport, source: Path) -> None:
    objects.put(source, "file.age")
    before = objects.version("file.age")
    objects.resume(source, "file.age")
    assert objects.version("file.age") == before


def test_an_object_that_is_written_again_has_another_version(
    objects: ObjectTransport, source: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    objects.put(other, "file.age")
    before = objects.version("file.age")
    assert objects.version("file.age") == before
    objects.resume(source, "file.age")
    assert objects.version("file.age") != before


def test_a_file_in_a_folder_that_is_not_there_is_refused(folders: FolderTransport, source: Path) -> None:
    with pytest.raises(DestinationRefused):
        folders.put(source, "nowhere/file.age")


def test_what_is_not_there_can_be_neither_read_nor_listed(transport: Destination) -> None:
    with pytest.raises(DestinationRefused):
        list(transport.read("nowhere/file.age"))
    with pytest.raises(DestinationRefused):
        transport.list("nowhere")


def test_a_refusal_leaves_the_transport_usable_and_carries_no_foreign_error(
    transport: Destination, source: Path
) -> None:
    with pytest.raises(DestinationRefused) as caught:
        transport.list("nowhere")
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert transport.put(source, "file.age").size == source.stat().st_size


def test_our_own_file_that_is_gone_is_not_blamed_on_the_destination(transport: Destination, tmp_path: Path) -> None:
    with pytest.raises(UnusableInput, match=r"our copy of file\.age"):
        transport.put(tmp_path / "gone", "file.age")


def test_folders_are_made_with_those_above_them_and_again_without_harm(folders: FolderTransport) -> None:
    for _ in range(2):
        folders.make_directory("a/b/.staging-edition-1-7")
    assert folders.list("a/b") == [".staging-edition-1-7"]
    assert folders.stat("a/b/.staging-edition-1-7") == Stat(0, is_directory=True)


def test_what_is_not_there_has_no_stat_and_is_deleted_without_harm(transport: Destination) -> None:
    assert transport.stat("a/b") is None
    transport.delete("a/b")


def fill(transport: Destination, source: Path, *names: str) -> None:
    for name in names:
        if isinstance(transport, FolderTransport) and "/" in name:
            transport.make_directory(name.rpartition("/")[0])
        transport.put(source, name)


def test_a_folder_is_listed_in_order_with_its_hidden_names(transport: Destination, source: Path) -> None:
    fill(transport, source, "a/b.age", "a/a.age", "a/B.age", "a/.staging-x-1/c.age", "ab/d.age")
    assert transport.list("a") == [".staging-x-1", "B.age", "a.age", "b.age"]
    assert transport.stat("a") == Stat(0, is_directory=True)


def test_a_whole_folder_gets_another_name_at_once(folders: FolderTransport, source: Path) -> None:
    fill(folders, source, "a/.staging-e-1/file.age")
    folders.rename("a/.staging-e-1", "a/e")
    assert folders.list("a") == ["e"]
    assert b"".join(folders.read("a/e/file.age")) == source.read_bytes()


@pytest.mark.parametrize("filled", [True, False], ids=["filled", "empty"])
def test_a_folder_never_replaces_another_one(folders: FolderTransport, source: Path, filled: bool) -> None:
    folders.make_directory("new")
    folders.make_directory("old")
    if filled:
        folders.put(source, "old/file.age")
    with pytest.raises(DestinationRefused):
        folders.rename("new", "old")
    assert folders.list("old") == (["file.age"] if filled else [])


def test_a_file_never_replaces_another_one(folders: FolderTransport, source: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    folders.put(source, "old")
    folders.put(other, "new")
    with pytest.raises(DestinationRefused):
        folders.rename("new", "old")
    assert b"".join(folders.read("old")) == source.read_bytes()


def test_deleting_a_folder_deletes_all_in_it_and_nothing_beside_it(transport: Destination, source: Path) -> None:
    fill(transport, source, "a/b/manifest.json", "a/b/c/d.age", "a/bc/e.age")
    transport.delete("a/b")
    assert transport.stat("a/b") is None
    assert transport.list("a") == ["bc"]
    transport.delete("a/bc/e.age")
    assert transport.stat("a/bc/e.age") is None


def test_deleting_a_folder_follows_no_link(on_disk: tuple[FolderTransport, Path], tmp_path: Path) -> None:
    transport, root = on_disk
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    transport.make_directory("a/b")
    (root / "a" / "link").symlink_to(outside)
    transport.delete("a")
    assert transport.stat("a") is None
    assert (outside / "kept").read_bytes() == b"kept"


CLIMBING = ["", ".", "..", "../x", "a/../b", "/etc/passwd", "a//b", "a/", "~/x", "a\\..\\b", "%2e%2e/x", "a:b", "C:/x"]
HIDING = [".hidden", "a\0b", "a\nb", "a\rb", "a b", "-rf", ".staging-", ".staging-..", ".staging-.staging-x"]
LOOKING_ALIKE = ["é", "e\u0301", "\uff0e\uff0e/x", "a\u2044b", "a\u202eb", "a\u200bb", "\u0430", "a\udcff"]
TOO_LONG = ["a" * 201, "a" * 300, ".staging-" + "a" * 201, f"a/{'b' * 300}/c"]


@pytest.mark.parametrize("name", [*CLIMBING, *HIDING, *LOOKING_ALIKE, *TOO_LONG], ids=ascii)
def test_a_name_that_climbs_or_hides_is_refused_by_every_method(
    transport: Destination, source: Path, name: str
) -> None:
    attempts = [
        lambda: transport.put(source, name),
        lambda: transport.resume(source, name),
        lambda: list(transport.read(name)),
        lambda: transport.stat(name),
        lambda: transport.list(name),
        lambda: transport.delete(name),
    ]
    if isinstance(transport, FolderTransport):
        attempts += [
            lambda: transport.rename(name, "x"),
            lambda: transport.rename("x", name),
            lambda: transport.make_directory(name),
        ]
    else:
        attempts += [lambda: transport.version(name), lambda: transport.lock(name)]
    for attempt in attempts:
        with pytest.raises(UnusableInput):
            attempt()


def test_the_longest_name_that_is_allowed_can_be_used(transport: Destination, source: Path) -> None:
    fill(transport, source, f"{'a' * 200}/{'b' * 200}")
    assert transport.list("a" * 200) == ["b" * 200]


@pytest.fixture
def delivery(source: Path, tmp_path: Path) -> dict[str, Path]:
    mark = tmp_path / "manifest.json"
    mark.write_bytes(b"{}")
    return {"b.age": source, "a.age": source, "manifest.json": mark}


def seen(transport: Destination) -> list[str]:
    """What a recipient sees of the delivery, who knows that one without its mark is none."""
    if not has_appeared(transport, DELIVERY, "manifest.json"):
        return []
    return transport.list(DELIVERY)


def test_a_delivery_is_published_under_its_folder_and_nothing_else_stays(
    transport: Destination, delivery: dict[str, Path]
) -> None:
    receipts = publish(transport, delivery, DELIVERY, "4")
    assert [receipt.name for receipt in receipts] == list(delivery)
    assert {receipt.sha256 for receipt in receipts} == {
        hashlib.sha256(path.read_bytes()).hexdigest() for path in delivery.values()
    }
    assert seen(transport) == ["a.age", "b.age", "manifest.json"]
    assert transport.list("GLA-1/2026-03") == ["edition-1"]
    assert publish(transport, delivery, DELIVERY, "5") == receipts


def test_it_is_not_seen_before_it_is_approved_and_gone_when_it_is_not(
    transport: Destination, delivery: dict[str, Path]
) -> None:
    def refuse(_receipts: tuple[Receipt, ...]) -> None:
        assert seen(transport) == []
        raise UnusableInput("revoked meanwhile")

    with pytest.raises(UnusableInput, match="revoked"):
        publish(transport, delivery, DELIVERY, "4", refuse)
    assert transport.stat(DELIVERY) is None
    publish(transport, delivery, DELIVERY, "5")
    assert seen(transport) == ["a.age", "b.age", "manifest.json"]


def test_what_an_attempt_left_is_taken_over_by_the_next_and_the_rest_of_it_removed(
    transport: Destination, delivery: dict[str, Path], source: Path
) -> None:
    def gone(_receipts: tuple[Receipt, ...]) -> None:
        raise DestinationUnreachable("gone")

    with pytest.raises(DestinationUnreachable):
        publish(transport, delivery, DELIVERY, "4", gone)
    assert seen(transport) == []
    publish(transport, delivery, DELIVERY, "5")
    assert seen(transport) == ["a.age", "b.age", "manifest.json"]
    assert transport.list("GLA-1/2026-03") == ["edition-1"]


def test_what_another_sealing_left_is_replaced(
    transport: Destination, delivery: dict[str, Path], tmp_path: Path
) -> None:
    def gone(_receipts: tuple[Receipt, ...]) -> None:
        raise DestinationUnreachable("gone")

    other = tmp_path / "other"
    other.write_bytes(os.urandom(3 * MIB + 5))
    with pytest.raises(DestinationUnreachable):
        publish(transport, {"old.age": other, "a.age": other, "manifest.json": other}, DELIVERY, "4", gone)
    receipts = publish(transport, delivery, DELIVERY, "5")
    assert seen(transport) == ["a.age", "b.age", "manifest.json"]
    assert digested("a.age", transport.read(f"{DELIVERY}/a.age")) == receipts[1]


def test_a_delivery_that_was_changed_since_is_refused_and_left_alone(
    transport: Destination, delivery: dict[str, Path], tmp_path: Path
) -> None:
    publish(transport, delivery, DELIVERY, "4")
    other = tmp_path / "other"
    other.write_bytes(b"other")
    transport.delete(f"{DELIVERY}/a.age")
    transport.put(other, f"{DELIVERY}/a.age")
    with pytest.raises(ReadBackMismatch):
        publish(transport, delivery, DELIVERY, "5")
    assert b"".join(transport.read(f"{DELIVERY}/a.age")) == b"other"
