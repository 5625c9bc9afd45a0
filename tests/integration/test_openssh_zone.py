"""The zone on OpenSSH, where it is not like ours: chroots and Unix users, a view that follows, what a kill leaves.

What recipients' programs do with it is in `tests/e2e/test_clients.py`.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import paramiko
import pytest

from apps.openssh.zone import OpensshZone
from core.errors import UnusableInput
from core.settings import DropzoneSettings
from flows.steps import path
from flows.steps.accounts import write_accounts
from flows.steps.pickups import record_pickups
from keys.private.custody import Role
from tests.delivery_world import AGREEMENT, MARCH, make_world_in
from tests.e2e.clients import Place
from tests.servers.dropzone import DELIVERY
from tests.servers.openssh import make_key, public_line
from tests.servers.openssh_zone import GLA, OpensshWorld, need_root

pytestmark = pytest.mark.server

# Debian 12's OpenSSH 9.2 has no ML-KEM, and its own hybrid exchange stands first.
WEAKER_EXCHANGE = "curve25519-sha256@libssh.org"


def made(require_program: Callable[[str], str]) -> AbstractContextManager[OpensshWorld]:
    need_root()
    for name in ("sshd", "sftp", "ssh-keygen", "unshare", "useradd"):
        require_program(name)
    return OpensshWorld.made()


@pytest.fixture
def stopped(require_program: Callable[[str], str]) -> Iterator[OpensshWorld]:
    with made(require_program) as world:
        yield world


@pytest.fixture(scope="module")
def zone(require_program: Callable[[str], str]) -> Iterator[OpensshWorld]:
    """One that runs, for the tests that leave it as it is, or with more in it."""
    with made(require_program) as world, world.running():
        yield world


def until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def at(world: OpensshWorld, folder: Path, user: str = "fonds") -> Place:
    return Place(world, folder, world.port, user)


def test_files_that_only_the_flows_may_read_are_read_by_their_recipient_alone(stopped, tmp_path):
    os.umask(0o077)
    stopped.put("fonds", "GLA-2/2026-03/edition-1/data.age", b"secret").chmod(0o600)
    os.umask(0o022)
    with stopped.running():
        place = at(stopped, tmp_path)
        assert place.sftp("get deliveries/GLA-2/2026-03/edition-1/data.age").returncode == 0
        assert (tmp_path / "data.age").read_bytes() == b"secret"
        chroot = stopped.chroots / "fonds"
        assert chroot.stat().st_mode & 0o777 == 0o750
        seen = next(chroot.rglob("GLA-2/*/*/data.age"))
        assert seen.stat().st_mode & 0o777 == 0o640
        assert seen.stat().st_gid == chroot.stat().st_gid != (stopped.chroots / "other").stat().st_gid


def test_a_new_delivery_and_a_new_recipient_are_there_in_a_moment_and_what_expires_goes(zone, tmp_path):
    place = at(zone, tmp_path)
    new = zone.put("fonds", "GLA-1/2026-03/.staging-7/data.age", b"new")
    new.parent.rename(new.parent.with_name("edition-2"))
    until(lambda: place.sftp("get deliveries/GLA-1/2026-03/edition-2/data.age").returncode == 0, "it appears")
    make_key(zone.keys / "third")
    zone.keys_of["third"] = [public_line(zone.keys / "third")]
    zone.write_accounts()
    until(lambda: at(zone, tmp_path, "third").sftp("ls deliveries").returncode == 0, "the third can log in")
    for each in (zone.root / "deliveries/fonds/GLA-1/2026-03/edition-2").iterdir():
        each.unlink()
    (zone.root / "deliveries/fonds/GLA-1/2026-03/edition-2").rmdir()
    until(lambda: place.sftp("ls deliveries/GLA-1/2026-03/edition-2").returncode != 0, "it goes")
    assert place.sftp(f"ls deliveries/{DELIVERY}").returncode == 0


def test_who_can_be_no_unix_user_is_told_of_and_the_others_are_served(stopped, tmp_path):
    for name in ("root", "daemon", "1234", "a" * 33):
        stopped.keys_of[name] = [public_line(stopped.keys / "fonds")]
    stopped.write_accounts()
    with stopped.running():
        assert at(stopped, tmp_path).sftp("ls").returncode == 0
        for name in ("root", "daemon"):
            assert stopped.sftp("ls", user=name, key="fonds", cwd=tmp_path).returncode != 0
        for name in ("root", "daemon", "1234", "a" * 33):
            assert f"recipient {name} cannot be served" in stopped.log


def test_a_damaged_accounts_file_lets_nobody_in_until_it_is_mended(zone, tmp_path):
    place = at(zone, tmp_path)
    good = (zone.root / "accounts.json").read_bytes()
    (zone.root / "accounts.json").write_bytes(good[:-5])
    assert place.sftp("ls").returncode != 0
    (zone.root / "accounts.json").write_bytes(good)
    assert place.sftp("ls").returncode == 0


def test_what_was_fetched_before_the_zone_was_killed_is_recorded_when_it_starts_again(stopped, tmp_path):
    with stopped.started() as zone:
        place = at(stopped, tmp_path)
        command = ["sftp", *place.ssh_options, "-P", str(place.port), "-b", "-", "fonds@127.0.0.1"]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
        assert client.stdin is not None
        client.stdin.write(f"get deliveries/{DELIVERY}/manifest.json\n".encode())
        client.stdin.flush()
        drafts = stopped.root / "spool"
        until(lambda: any(each.stat().st_size for each in drafts.glob(".*.partial")), "it is written down at once")
        zone.kill()
        client.communicate(timeout=60)
    assert stopped.pickups() == []
    with stopped.running():
        [pickup] = stopped.pickups()
        assert (pickup.path, pickup.whole) == (f"{DELIVERY}/manifest.json", True)
        assert at(stopped, tmp_path).sftp("ls").returncode == 0


def test_a_second_zone_for_the_same_home_is_refused(zone):
    environment = {**os.environ, "GLA_HOME": str(zone.folder), "GLA_OPENSSH__CHROOTS": str(zone.chroots)}
    environment["GLA_KEYS__DROPZONE_HOST"] = f"file:{zone.keys / 'host'}"
    done = subprocess.run(
        [GLA, "dropzone", "openssh"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "runs already" in done.stderr


MAY_NOT_BE_SENT = {
    "receipts/large.ack": (20_000, "OSError"),
    "receipts/other.txt": (10, "PermissionError"),
    "incoming/GLA-1/a b.age": (10, "FileNotFoundError"),
}


def test_what_may_not_be_sent_does_not_arrive(stopped, tmp_path, monkeypatch):
    monkeypatch.setenv("GLA_DROPZONE__UPLOAD_BYTES", "2000000")
    monkeypatch.setenv("GLA_DROPZONE__UPLOAD_RESERVE_BYTES", "0")
    for folder in ("incoming/fonds/GLA-1", "receipts/fonds"):
        (stopped.root / folder).mkdir(parents=True)
    with stopped.running():
        place = at(stopped, tmp_path)
        (tmp_path / "sent").write_bytes(b"x" * 3_000_000)
        assert place.sftp("put sent incoming/GLA-1/large.age").returncode != 0  # the system writes no more
        for name, (size, why) in MAY_NOT_BE_SENT.items():
            (tmp_path / "sent").write_bytes(b"x" * size)
            told = stopped.log.count(f"a file that was sent is not taken: {why}")
            assert place.sftp(f'put sent "{name}"').returncode == 0
            line = f"a file that was sent is not taken: {why}"
            until(lambda line=line, told=told: stopped.log.count(line) > told, f"{name} is told of")
        (tmp_path / "sent").write_bytes(b"fine")
        assert place.sftp("put sent incoming/GLA-1/fine.age").returncode == 0
        until((stopped.root / "incoming/fonds/GLA-1/fine.age").exists, "the next one arrives")
        found = [each.name for each in stopped.root.glob("*/fonds/**/*") if each.is_file() and each.name[0] != "."]
        assert sorted(found) == ["data.parquet.age", "fine.age", "manifest.json"]
        left = stopped.chroots / "fonds"
        until(lambda: not [each for each in left.glob("[ir]*/**/*") if each.is_file()], "nothing stays")


def test_a_delivery_that_is_fetched_here_is_picked_up_in_the_ledger(stopped, tmp_path):
    world = make_world_in(stopped.folder)()
    world.conclude()
    path.run(world.services, world.order())
    write_accounts(world.services)
    served = OpensshWorld(world.services.settings.dropzone_dir, tmp_path / "keys")
    served.keys.mkdir()
    (served.keys / "host.pub").write_text(world.services.custody.public_key(Role.DROPZONE_HOST).line)
    (served.keys / "fonds").touch(0o600)
    (served.keys / "fonds").write_bytes(world.signer.private_file())
    with served.running():
        place = at(served, tmp_path / "got")
        done = place.sftp("get -r deliveries")
        assert done.returncode == 0, done.stderr
        fetched = len(list((tmp_path / "got").rglob("edition-1/*")))
        until(lambda: len(served.pickups()) == fetched, "it is recorded")
    assert record_pickups(world.services) == fetched
    assert world.services.ledger.get(AGREEMENT, MARCH, 1).state == "picked_up"
    reads = [event for event in world.events() if event["action"] == "delivery.read"]
    assert {json.loads(event["detail"])["address"] for event in reads} == {"127.0.0.1"}


def test_the_audit_finds_only_the_exchange_for_older_clients(zone):
    program = str(Path(sys.executable).with_name("ssh-audit"))
    done = subprocess.run(
        [program, "-jj", "-p", str(zone.port), "127.0.0.1"], capture_output=True, text=True, check=False, timeout=120
    )
    report = json.loads(done.stdout)
    findings = {
        (each["algorithm"], text)
        for kind in ("kex", "key", "enc", "mac")
        for each in report[kind]
        for level in ("fail", "warn")
        for text in each["notes"].get(level, [])
    }
    assert findings == {(WEAKER_EXCHANGE, "does not provide protection against post-quantum attacks")}


def test_its_settings_are_those_that_the_command_shows(zone):
    environment = {**os.environ, "GLA_HOME": str(zone.folder), "GLA_OPENSSH__CHROOTS": str(zone.chroots)}
    environment |= {"GLA_KEYS__DROPZONE_HOST": f"file:{zone.keys / 'host'}", "GLA_DROPZONE__PORT": str(zone.port)}
    shown = subprocess.check_output([GLA, "dropzone", "sshd-config"], env=environment, text=True)
    assert shown == (zone.chroots / ".sshd_config").read_text()
    assert re.search(
        r"^AuthorizedKeysCommand .*gla dropzone authorized-keys --accounts \S+ -- %u$", shown, re.MULTILINE
    )


def test_without_root_it_says_so(stopped, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnusableInput, match="needs root"):
        OpensshZone(stopped.root, stopped.keys / "host", DropzoneSettings(), stopped.chroots)


def test_what_sessions_log_does_not_make_it_look_more_often(stopped):
    with stopped.running() as process, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        log = str(stopped.chroots / "fonds/dev/log")
        began, before = time.monotonic(), process.io_counters().read_count
        for _ in range(1000):
            sender.sendto(b"a line", log)
            time.sleep(0.002)
        reads, seconds = process.io_counters().read_count - before, time.monotonic() - began
    assert reads < 20 * (seconds + 1)


def test_an_area_that_is_as_it_should_be_is_left_alone_and_another_is_mended(stopped, tmp_path):
    (stopped.root / "incoming/fonds/GLA-1").mkdir(parents=True)
    with stopped.running():
        area = stopped.chroots / "fonds/incoming/GLA-1"
        until(area.exists, "the area is there")
        until(lambda: area.stat().st_mode & 0o7777 == 0o1770, "with its mode")
        before = area.stat().st_ctime_ns
        time.sleep(3)
        assert area.stat().st_ctime_ns == before
        area.chmod(0o777)
        os.chown(area, 1, 1)
        until(lambda: area.stat().st_mode & 0o7777 == 0o1770, "its mode is mended")
        until(lambda: (area.stat().st_uid, area.stat().st_gid) == (0, (area.parent.stat().st_gid)), "its owner too")


def test_what_it_writes_in_the_drop_zone_is_the_owners_of_that(stopped, tmp_path):
    """The flows run as a user of their own, who takes pickups and files away."""
    (stopped.root / "incoming/fonds/GLA-1").mkdir(parents=True)
    nobody = pwd.getpwnam("nobody")
    subprocess.run(["chown", "-R", f"{nobody.pw_uid}:{nobody.pw_gid}", stopped.root], check=True)
    with stopped.running():
        place = at(stopped, tmp_path)
        (tmp_path / "sent").write_bytes(b"x")
        done = place.sftp(f"get deliveries/{DELIVERY}/manifest.json", "put sent incoming/GLA-1/list.age")
        assert done.returncode == 0, f"{done.stderr} {stopped.log}"
        until((stopped.root / "incoming/fonds/GLA-1/list.age").exists, "it arrives")
        until(lambda: len(stopped.pickups()) == 1, "it is recorded")
    made = [*stopped.root.glob("spool/*"), *stopped.root.glob("incoming/fonds/GLA-1/*"), stopped.root / ".openssh.lock"]
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(nobody.pw_uid, nobody.pw_gid)}
    assert {path.stat().st_mode & 0o777 for path in made} == {0o640}


def test_a_session_that_cannot_be_recorded_is_ended_at_once(stopped, tmp_path):
    """Also where the drop zone belongs to a user who may end nobody's session."""
    nobody = pwd.getpwnam("nobody")
    subprocess.run(["chown", "-R", f"{nobody.pw_uid}:{nobody.pw_gid}", stopped.root], check=True)
    with stopped.running():
        (stopped.root / "spool").chmod(0o500)
        place = at(stopped, tmp_path)
        command = ["sftp", *place.ssh_options, "-P", str(place.port), "-b", "-", "fonds@127.0.0.1"]
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
        assert client.stdin is not None
        client.stdin.write(b"ls\n")
        client.stdin.flush()
        until(lambda: client.poll() is not None, f"it is ended: {stopped.log}", 60)
        client.communicate(timeout=60)
        assert client.returncode != 0
        assert "it cannot be recorded" in stopped.log
        assert "the log of a session" not in stopped.log
        (stopped.root / "spool").chmod(0o750)
        until(lambda: place.sftp("ls").returncode == 0, "the next one is served")


def test_what_is_fetched_under_a_name_that_the_log_cuts_ends_at_once(stopped):
    """It would go out unrecorded: every folder of it may be named with any number of slashes."""
    data = os.urandom(8_000_000)
    stopped.put("fonds", "GLA-1/2026-03/edition-1/large.age", data)
    path = "/" * 900 + "deliveries/GLA-1/2026-03/edition-1/large.age"
    for times, name in enumerate([path, "/" * 100 + path], start=1):  # the second is not even told when it is opened
        with stopped.running(), stopped.client() as client:
            came = 0
            with pytest.raises((OSError, EOFError, paramiko.SSHException)):  # noqa: PT012, SIM117 - in any of them
                with client.open(name, "rb") as file:
                    while block := file.read(32768):
                        came += len(block)
            assert came < len(data) / 2
            until(lambda n=times: stopped.log.count("its log does not tell what is sent") == n, "it is told")
            with stopped.client() as again:
                assert again.listdir("deliveries") == ["GLA-1"]
        assert [each for each in stopped.pickups() if each.whole] == []


def test_files_with_holes_are_not_written_out_while_others_wait(stopped):
    (stopped.root / "incoming/fonds/GLA-1").mkdir(parents=True)
    with stopped.running() as process:
        until((stopped.chroots / "fonds/incoming/GLA-1").exists, "there is a place for it")
        with stopped.client() as client:
            for number in range(10):
                with client.open(f"incoming/GLA-1/{number}", "wb") as file:
                    file.seek(200_000_000)
                    file.write(b"x")
        until(lambda: stopped.log.count("a file that was sent is not taken: PermissionError") == 10, "they are told of")
        assert process.io_counters().write_chars < 1_000_000


def test_a_file_whose_name_the_log_cannot_tell_is_not_taken(zone, tmp_path):
    (zone.root / "incoming/fonds/GLA-1").mkdir(parents=True)
    place = at(zone, tmp_path)
    (tmp_path / "sent").write_bytes(b"x")
    until(lambda: place.sftp("put sent incoming/GLA-1/één.age").returncode == 0, "there is a place for it")
    until(lambda: "a file that was sent is not taken" in zone.log, "it is told")
    assert list((zone.root / "incoming/fonds/GLA-1").iterdir()) == []


def never_closed(client: paramiko.SFTPClient, name: str) -> object:
    file = client.open(name, "wb")
    file.set_pipelined(True)
    file.write(b"x" * 1_000_000)
    file.flush()
    return file


def of_a_name_that_the_log_cannot_tell(client: paramiko.SFTPClient, name: str) -> object:
    with client.open(f"{name}é", "wb") as file:
        file.set_pipelined(True)
        file.write(b"x" * 1_000_000)
    client.utime(f"{name}é", (4e9, 4e9))
    return None


def closed_and_still_open(client: paramiko.SFTPClient, name: str) -> object:
    """It loses its name when it is taken."""
    with client.open(name, "wb") as file:
        still = client.open(name, "r+b")
        file.set_pipelined(True)
        file.write(b"x" * 1_000_000)
    return still


def empty(client: paramiko.SFTPClient, name: str) -> object:
    with client.open(f"{name}é", "wb"):
        return None


@pytest.mark.parametrize("send", [never_closed, of_a_name_that_the_log_cannot_tell, closed_and_still_open, empty])
def test_who_sends_more_than_there_is_room_for_is_sent_away_and_all_of_it_goes(stopped, monkeypatch, send):
    monkeypatch.setenv("GLA_DROPZONE__UPLOAD_BYTES", "2000000")
    monkeypatch.setenv("GLA_DROPZONE__UPLOAD_RECIPIENT_BYTES", "8000000")
    monkeypatch.setenv("GLA_DROPZONE__UPLOAD_RESERVE_BYTES", "0")
    (stopped.root / "incoming/fonds/GLA-1").mkdir(parents=True)
    with stopped.running():
        area = stopped.chroots / "fonds/incoming/GLA-1"
        until(area.exists, "there is a place for it")
        held = []
        with stopped.client() as client, pytest.raises((OSError, EOFError, paramiko.SSHException)):
            held += [send(client, f"incoming/GLA-1/{number}") for number in range(50_000)]
        assert "recipient fonds sends more than there is room for" in stopped.log
        # what it began while it was ended goes with the next sweep, a minute later
        until(lambda: list(area.iterdir()) == [], "nothing of it stays", seconds=120)
        with stopped.client() as again:
            assert again.listdir("deliveries") == ["GLA-1"]
