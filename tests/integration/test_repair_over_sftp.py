"""Repairing from our drop zone, as recipients do: what is read there, and what happens when the wire is cut."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.errors import DestinationRefused, DestinationUnreachable, HostKeyMismatch, ManifestInvalid, UnusableInput
from schemas.manifest import CHUNK_BYTES
from tests.editions import Edition, contents
from tests.servers.dropzone import DropzoneWorld
from tests.servers.openssh import free_port, make_key, public_line
from tests.servers.proxy import CuttableProxy
from transports.known_hosts import known_host_key

pytestmark = pytest.mark.server
DATA = "data.parquet.age"
PLACE = "GLA-1/2026-03/edition-1"


@pytest.fixture
def zone(tmp_path, require_program) -> Iterator[DropzoneWorld]:
    require_program("ssh-keygen")
    (tmp_path / "zone").mkdir()
    world = DropzoneWorld.make(tmp_path / "zone")
    with world.running():
        yield world


@pytest.fixture
def edition(zone, tmp_path) -> Edition:
    """Five parts, the last one short; published in the zone too."""
    (tmp_path / "edition").mkdir()
    data = os.urandom(4 * CHUNK_BYTES + 12345)
    edition = Edition(tmp_path / "edition", {DATA: data, "pakbon.json.age": b"pakbon"}, chunk=CHUNK_BYTES)
    published = zone.root / "deliveries" / "fonds" / PLACE
    shutil.rmtree(published)
    shutil.copytree(edition.sent, published)
    return edition


def options(zone: DropzoneWorld, edition: Edition, port: int, host_key: Path | None = None) -> tuple[str, ...]:
    hosts = edition.folder / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{port} {public_line(host_key or zone.keys / 'host')}\n")
    return ("--ssh-key", str(zone.keys / "fonds"), "--known-hosts", str(hosts))


def repair(zone: DropzoneWorld, edition: Edition, port: int | None = None, path: str = "", user: str = "fonds") -> str:
    port = port or zone.port
    return edition.check(f"sftp://{user}@127.0.0.1:{port}{path}", options=options(zone, edition, port))


def spoil(edition: Edition, *parts: int) -> None:
    content = bytearray((edition.here / DATA).read_bytes())
    for part in parts:
        content[part * CHUNK_BYTES + 17] ^= 1
    (edition.here / DATA).write_bytes(content)


def spans(zone: DropzoneWorld, sessions: int) -> dict[str, list[tuple[int, int]]]:
    """What was read of each file, once so many sessions are over."""
    deadline = time.monotonic() + 20
    while len(list((zone.root / "spool").glob("*.jsonl"))) < sessions and time.monotonic() < deadline:
        time.sleep(0.02)
    read: dict[str, list[tuple[int, int]]] = {}
    for pickup in zone.pickups():
        read.setdefault(pickup.path.removeprefix(f"{PLACE}/"), []).extend(pickup.spans)
    return {name: sorted(places) for name, places in read.items()}


def test_only_the_bad_parts_are_read_from_the_drop_zone(zone, edition):
    spoil(edition, 1, 2, 4)
    assert "repaired 3 of 3 parts" in repair(zone, edition)
    assert edition.is_whole()
    assert spans(zone, 1) == {DATA: [(CHUNK_BYTES, 3 * CHUNK_BYTES), (4 * CHUNK_BYTES, 4 * CHUNK_BYTES + 12345)]}


def test_an_interrupted_download_goes_on_and_counts_as_picked_up(zone, edition):
    """What sftp read before and what the repair reads are one whole reading together."""
    shutil.rmtree(edition.here)
    edition.here.mkdir()
    with zone.client() as client:
        name = f"/deliveries/{PLACE}/{DATA}"
        with client.open(name) as remote:
            (edition.here / DATA).write_bytes(remote.read(CHUNK_BYTES + 99))
        client.get(f"/deliveries/{PLACE}/manifest.json", str(edition.here / "manifest.json"))
        client.get(f"/deliveries/{PLACE}/manifest.json.sig", str(edition.here / "manifest.json.sig"))
    assert "4 of 5 parts" in repair(zone, edition)
    assert edition.is_whole()
    (first, second) = spans(zone, 2)[DATA]
    assert first == (0, CHUNK_BYTES + 99)
    assert second == (CHUNK_BYTES, 4 * CHUNK_BYTES + 12345)


def test_nothing_is_here_yet(zone, edition):
    shutil.rmtree(edition.here)
    with pytest.raises(UnusableInput, match="name the edition too"):
        repair(zone, edition)
    repair(zone, edition, path=f"/deliveries/{PLACE}")
    assert edition.is_whole()
    assert {name: len(places) for name, places in spans(zone, 2).items()} == dict.fromkeys(contents(edition.sent), 1)


@contextmanager
def cut_every(zone: DropzoneWorld, answer_bytes: int) -> Iterator[int]:
    """A wire to the zone that breaks again and again."""
    with CuttableProxy(zone.port, every=answer_bytes) as proxy:
        yield proxy.port


def test_a_wire_that_breaks_again_and_again_is_taken_up_again_while_it_brings_something(zone, edition):
    (edition.here / DATA).unlink()
    with cut_every(zone, 2 * CHUNK_BYTES) as port:
        repair(zone, edition, port)
    assert edition.is_whole()


def test_a_wire_that_never_brings_a_part_ends_and_the_next_run_goes_on(zone, edition):
    (edition.here / DATA).unlink()
    with cut_every(zone, CHUNK_BYTES // 2) as port, pytest.raises(DestinationUnreachable):
        repair(zone, edition, port)
    repair(zone, edition)
    assert edition.is_whole()


def test_another_copy_is_asked_where_a_server_is_gone(zone, edition):
    spoil(edition, 0, 3)
    port = free_port()
    edition.check(f"sftp://fonds@127.0.0.1:{port}", edition.sent, options=options(zone, edition, port))
    assert edition.is_whole()


def test_a_server_with_another_host_key_is_asked_nothing(zone, edition, tmp_path):
    spoil(edition, 0)
    before = (edition.here / DATA).read_bytes()
    other = make_key(tmp_path / "other")
    with pytest.raises(HostKeyMismatch):
        edition.check(f"sftp://fonds@127.0.0.1:{zone.port}", options=options(zone, edition, zone.port, host_key=other))
    assert (edition.here / DATA).read_bytes() == before
    assert zone.pickups() == []


def test_somebody_elses_name_does_not_get_in(zone, edition):
    spoil(edition, 0)
    with pytest.raises(DestinationRefused):
        repair(zone, edition, user="other")


def test_what_was_damaged_in_the_zone_too_is_not_taken(zone, edition):
    spoil(edition, 1)
    published = zone.root / "deliveries" / "fonds" / PLACE / DATA
    content = bytearray(published.read_bytes())
    content[CHUNK_BYTES] ^= 1
    published.write_bytes(content)
    with pytest.raises(ManifestInvalid, match="in the given copies too"):
        repair(zone, edition)


class TestKnownHosts:
    @pytest.fixture
    def keys(self, tmp_path, require_program):
        require_program("ssh-keygen")
        return {kind: public_line(make_key(tmp_path / kind, kind=kind)) for kind in ("ed25519", "ecdsa")}

    def test_names_with_and_without_a_port(self, keys, tmp_path):
        hosts = tmp_path / "known_hosts"
        hosts.write_text(f"# a comment\n\nexample.nl,127.0.0.1 {keys['ed25519']}\n[example.nl]:2022 {keys['ecdsa']}\n")
        assert known_host_key(hosts, "127.0.0.1", 22) == keys["ed25519"]
        assert known_host_key(hosts, "example.nl", 2022) == keys["ecdsa"]
        with pytest.raises(HostKeyMismatch, match=r"\[example\.nl\]:2023"):
            known_host_key(hosts, "example.nl", 2023)

    def test_names_that_openssh_hashed(self, keys, tmp_path):
        hosts = tmp_path / "known_hosts"
        hosts.write_text(f"[example.nl]:2022 {keys['ed25519']}\n")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", hosts], check=True, capture_output=True)
        assert "example.nl" not in hosts.read_text()
        assert known_host_key(hosts, "example.nl", 2022) == keys["ed25519"]

    def test_a_revoked_key_is_not_given_and_the_next_best_is(self, keys, tmp_path):
        hosts = tmp_path / "known_hosts"
        lines = [f"example.nl {key}\n" for key in keys.values()]
        hosts.write_text("".join([*lines, f"@revoked * {keys['ed25519']}\n"]))
        assert known_host_key(hosts, "example.nl", 22) == keys["ecdsa"]

    @pytest.mark.parametrize("content", [b"\xff\xfe\n", b"|1|A|B ssh-ed25519 AAAA\n", b"garbage\n", b""])
    def test_what_is_no_known_hosts_file(self, tmp_path, content):
        hosts = tmp_path / "known_hosts"
        hosts.write_bytes(content)
        with pytest.raises((UnusableInput, HostKeyMismatch)) as caught:
            known_host_key(hosts, "example.nl", 22)
        assert caught.value.__context__ is None

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(UnusableInput, match="cannot be read"):
            known_host_key(tmp_path / "none", "example.nl", 22)
