"""A recipient sends its list with OpenSSH's sftp, gets what it may have, and nothing else can be done with the area."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paramiko
import pytest

from agreements.rules import AgreementState
from core.settings import DropzoneSettings
from flows.steps import lifecycle, path
from flows.steps.accounts import write_accounts
from flows.steps.incoming import take_incoming
from flows.steps.pickups import record_pickups
from flows.steps.recipients import register
from keys.private.custody import Role
from keys.private.identities import generate_identity
from keys.private.signing import Signer
from schemas.accounts import Upload
from schemas.participants import ParticipantsReport, signing_namespace
from tests.delivery_world import AGREEMENT, RECIPIENT, World, make_world, register_proven, world
from tests.participants_world import PEOPLE, as_csv, conclude, delivered, sealed_for_us, with_participants
from tests.servers.dropzone import Dropzone
from tests.servers.openssh import make_key, public_line

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server

AREA = f"/incoming/{AGREEMENT}"
LIMITS = DropzoneSettings(port=0, upload_bytes=1_000_000, upload_files=6)


class Zone:
    """The drop zone of a world, running, and its recipient's OpenSSH client."""

    def __init__(self, fund: World, folder: Path) -> None:
        self.fund = fund
        self.folder = folder
        self.key = folder / "recipient"
        make_key(self.key)
        register(fund.services, RECIPIENT, "90000102", [], [public_line(self.key)])
        write_accounts(fund.services)
        self.host_key = fund.services.custody.path(Role.DROPZONE_HOST)

    @contextlib.contextmanager
    def running(self, settings: DropzoneSettings = LIMITS) -> Iterator[Dropzone]:
        with Dropzone(self.fund.services.settings.dropzone_dir, self.host_key, settings) as zone:
            self.port = zone.port
            yield zone

    @property
    def incoming(self) -> Path:
        return self.fund.services.incoming_folder / RECIPIENT / AGREEMENT

    def sftp(self, *commands: str, user: str = RECIPIENT) -> subprocess.CompletedProcess[str]:
        known = self.folder / "known_hosts"
        line = self.fund.services.custody.public_key(Role.DROPZONE_HOST).line
        known.write_text(f"[127.0.0.1]:{self.port} {line}\n")
        options = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
        flags = [flag for option in options for flag in ("-o", option)]
        return subprocess.run(
            ["sftp", "-F", "none", *flags, "-i", str(self.key), "-P", str(self.port), "-b", "-", f"{user}@127.0.0.1"],
            input="".join(f"{command}\n" for command in commands),
            capture_output=True, text=True, cwd=self.folder, timeout=120, check=False,
        )  # fmt: skip

    @contextlib.contextmanager
    def client(self) -> Iterator[paramiko.SFTPClient]:
        with paramiko.Transport(("127.0.0.1", self.port)) as transport:
            transport.connect(username=RECIPIENT, pkey=paramiko.PKey.from_path(self.key))
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            yield client

    def write(self, name: str, content: bytes) -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name

    def put(self, content: bytes, name: str = "deelnemers.csv.age", agreement: str = AGREEMENT) -> None:
        """Send a file and its signature, as the recipient does."""
        self.write(name, content)
        signature = self.fund.signer.sign(content, signing_namespace(agreement, name))
        self.write(f"{name}.sig", signature.encode())
        sent = self.sftp(f"put {name} /incoming/{agreement}/", f"put {name}.sig /incoming/{agreement}/")
        assert sent.returncode == 0, sent.stderr

    def waiting(self) -> list[str]:
        return sorted(file.name for file in self.incoming.iterdir())


@pytest.fixture
def zone(world, tmp_path, require_program) -> Iterator[Zone]:
    require_program("sftp")
    zone = Zone(with_participants(world), tmp_path)
    with zone.running():
        yield zone


def test_a_list_comes_in_with_sftp_decides_the_delivery_and_its_report_goes_back(zone: Zone) -> None:
    fund = zone.fund
    zone.write("deelnemers.csv.age", sealed_for_us(fund, as_csv(PEOPLE[:5])))
    zone.write("id_signer", fund.signer.private_file()).chmod(0o600)
    namespace = f"gla-participants:{AGREEMENT}:deelnemers.csv.age"
    signing = ["ssh-keygen", "-q", "-Y", "sign", "-n", namespace, "-f", "id_signer", "deelnemers.csv.age"]
    subprocess.run(signing, cwd=zone.folder, check=True, capture_output=True)
    sent = zone.sftp("ls", f"put deelnemers.csv.age {AREA}/", f"put deelnemers.csv.age.sig {AREA}/")
    assert sent.returncode == 0, sent.stderr
    assert "incoming" in sent.stdout
    assert zone.waiting() == [
        ".deelnemers.csv.age.sig.upload", ".deelnemers.csv.age.upload", "deelnemers.csv.age", "deelnemers.csv.age.sig",
    ]  # fmt: skip
    assert take_incoming(fund.services) == 1
    assert zone.waiting() == []
    path.run(fund.services, fund.order())
    assert delivered(fund, fund.published()).get_column("bsn").to_list() == PEOPLE[:5]

    assert zone.sftp(f"get -r deliveries/{AGREEMENT}/participants .").returncode == 0
    report = ParticipantsReport.from_bytes((zone.folder / "participants/set-000001.json").read_bytes())
    assert (report.outcome, report.file, report.lines) == ("accepted", "deelnemers.csv.age", 5)
    _verify_with_ssh_keygen(zone, zone.folder / "participants/set-000001.json")
    assert record_pickups(fund.services) == 2
    read = [event for event in fund.events() if event["action"] == "participants.read"]
    assert {event["object"].rsplit("/")[-1] for event in read} == {"set-000001.json", "set-000001.json.sig"}
    assert list((fund.services.settings.dropzone_dir / "spool").iterdir()) == []


def _verify_with_ssh_keygen(zone: Zone, report: Path) -> None:
    sender = zone.fund.services.custody.public_key(Role.MANIFEST).line
    (zone.folder / "allowed").write_text(f"sender {sender}\n")
    checked = subprocess.run(
        ["ssh-keygen", "-Y", "verify", "-f", "allowed", "-I", "sender", "-n", "gla-participants",
         "-s", f"{report}.sig"],
        input=report.read_bytes(), capture_output=True, cwd=zone.folder, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_the_ledger_tells_who_sent_it_and_from_where(zone: Zone) -> None:
    zone.put(sealed_for_us(zone.fund, as_csv(PEOPLE[:1])))
    ticket = Upload.from_bytes((zone.incoming / ".deelnemers.csv.age.upload").read_bytes())
    take_incoming(zone.fund.services)
    (event,) = [event for event in zone.fund.events() if event["action"] == "participants.accepted"]
    told = json.loads(event["detail"])
    assert event["actor"] == RECIPIENT
    assert (told["address"], told["session"], told["fingerprint"]) == ("127.0.0.1", ticket.session, ticket.fingerprint)
    assert told["size"] == told["report"]["size"]


def test_a_file_with_wrong_lines_is_refused_with_a_report_and_the_old_set_stays(zone: Zone) -> None:
    fund = zone.fund
    for number, people in enumerate((PEOPLE[:2], [PEOPLE[0], "123456789"])):
        zone.put(sealed_for_us(fund, as_csv(people)), f"deelnemers-{number}.csv.age")
        take_incoming(fund.services)
    (refused,) = fund.services.recipient_folder(RECIPIENT).glob(f"{AGREEMENT}/participants/*-refused.json")
    assert "no valid BSN of nine digits: 1 (line 3)" in ParticipantsReport.from_bytes(refused.read_bytes()).reason
    path.run(fund.services, fund.order())
    assert delivered(fund, fund.published()).height == 2


def test_files_are_taken_in_the_order_in_which_they_came(zone: Zone) -> None:
    fund = zone.fund
    for number, (name, people) in enumerate(
        (("z.csv", PEOPLE[:1]), ("b.additions.csv", PEOPLE[1:2]), ("a.removals.csv", PEOPLE[:1]))
    ):
        zone.put(sealed_for_us(fund, as_csv(people)), f"deelnemers-{name}.age")
        os.utime(zone.incoming / f"deelnemers-{name}.age", ns=(number, number + 10**9))
    assert take_incoming(fund.services) == 3
    path.run(fund.services, fund.order())
    assert delivered(fund, fund.published()).get_column("bsn").to_list() == PEOPLE[1:2]


def test_an_upload_that_is_cut_leaves_nothing(zone: Zone) -> None:
    with zone.client() as client:
        file = client.open(f"{AREA}/deelnemers.csv.age", "wb")
        file.set_pipelined()
        file.write(b"x" * 500_000)
        file.flush()
        client.listdir(AREA)  # the server has everything
        assert client.listdir(AREA) == []  # and shows nothing
        assert [name for name in zone.waiting() if not name.startswith(".")] == []
    _eventually(lambda: zone.waiting() == [])
    assert take_incoming(zone.fund.services) == 0


def _eventually(condition) -> None:
    deadline = threading.Event()
    for _ in range(100):
        if condition():
            return
        deadline.wait(0.1)
    assert condition()


def test_nothing_can_be_read_back_replaced_renamed_or_removed(zone: Zone) -> None:
    zone.write("deelnemers.csv.age", b"sealed")
    assert zone.sftp(f"put deelnemers.csv.age {AREA}/").returncode == 0
    before = (zone.incoming / "deelnemers.csv.age").read_bytes()
    for command in (
        f"get {AREA}/deelnemers.csv.age copy",
        f"put deelnemers.csv.age {AREA}/",
        f"reput deelnemers.csv.age {AREA}/",
        f"rename {AREA}/deelnemers.csv.age {AREA}/x",
        f"rm {AREA}/deelnemers.csv.age",
        f"mkdir {AREA}/folder",
        f"rmdir {AREA}",
        f"symlink /etc/passwd {AREA}/x",
        "put deelnemers.csv.age /incoming/",
        "put deelnemers.csv.age /incoming/GLA-OTHER/",
        "put deelnemers.csv.age /deliveries/",
        f"put deelnemers.csv.age {AREA}/.hidden",
        f"put deelnemers.csv.age {AREA}/../../x",
    ):
        assert zone.sftp(command).returncode != 0, command
    assert not (zone.folder / "copy").exists()
    assert zone.waiting() == [".deelnemers.csv.age.upload", "deelnemers.csv.age"]
    assert (zone.incoming / "deelnemers.csv.age").read_bytes() == before


@pytest.mark.parametrize("flags", ["rb", "r+b", "w+b", "ab", "a+b"])
def test_a_file_is_opened_for_nothing_but_sending_a_new_one(zone: Zone, flags: str) -> None:
    with zone.client() as client, pytest.raises(OSError):
        client.open(f"{AREA}/deelnemers.csv.age", flags)
    assert zone.waiting() == []


def test_what_other_programs_ask_of_a_file_that_they_sent_is_no_failure(zone: Zone) -> None:
    zone.write("deelnemers.csv.age", b"sealed")
    assert zone.sftp(f"put -p deelnemers.csv.age {AREA}/").returncode == 0
    with zone.client() as client:
        client.putfo(io.BytesIO(b"sealed"), f"{AREA}/deelnemers-2.csv.age")  # looks at the size afterwards
        client.utime(f"{AREA}/deelnemers.csv.age", (1, 1))
        with pytest.raises(OSError):
            client.truncate(f"{AREA}/deelnemers.csv.age", 0)
        with pytest.raises(OSError):
            client.chmod("/deliveries", 0o777)
    assert (zone.incoming / "deelnemers.csv.age").read_bytes() == b"sealed"


def test_a_file_beyond_the_limit_never_appears(zone: Zone) -> None:
    zone.write("deelnemers.csv.age", bytes(LIMITS.upload_bytes + 1))
    assert zone.sftp(f"put deelnemers.csv.age {AREA}/").returncode != 0
    _eventually(lambda: zone.waiting() == [])
    zone.write("deelnemers.csv.age", bytes(LIMITS.upload_bytes))
    assert zone.sftp(f"put deelnemers.csv.age {AREA}/").returncode == 0


def test_no_more_files_wait_than_the_limit(zone: Zone) -> None:
    zone.write("x", b"sealed")
    for number in range(LIMITS.upload_files):
        assert zone.sftp(f"put x {AREA}/deelnemers-{number}.csv.age").returncode == 0
    assert zone.sftp(f"put x {AREA}/deelnemers-9.csv.age").returncode != 0
    zone.fund.at(datetime.now(UTC) + timedelta(hours=1))
    take_incoming(zone.fund.services)
    assert zone.sftp(f"put x {AREA}/deelnemers-9.csv.age").returncode == 0


def test_a_file_waits_for_its_signature_and_is_refused_if_none_comes(zone: Zone) -> None:
    fund = zone.fund
    zone.write("deelnemers.csv.age", sealed_for_us(fund, as_csv(PEOPLE[:1])))
    assert zone.sftp(f"put deelnemers.csv.age {AREA}/").returncode == 0
    fund.at(datetime.now(UTC))
    assert take_incoming(fund.services) == 0
    fund.at(datetime.now(UTC) + timedelta(seconds=fund.services.settings.dropzone.signature_seconds + 60))
    assert take_incoming(fund.services) == 1
    (refused,) = fund.services.recipient_folder(RECIPIENT).glob(f"{AGREEMENT}/participants/*-refused.json")
    report = ParticipantsReport.from_bytes(refused.read_bytes())
    assert "without a signature: sign it with ssh-keygen -Y sign -n gla-participants:" in report.reason
    assert (report.lines, report.findings) == (None, ())


def test_what_waits_for_its_signature_is_not_overtaken(zone: Zone) -> None:
    fund = zone.fund
    zone.write("deelnemers-1.csv.age", sealed_for_us(fund, as_csv(PEOPLE[:1])))
    zone.sftp(f"put deelnemers-1.csv.age {AREA}/")
    zone.put(sealed_for_us(fund, as_csv(PEOPLE[1:2])), "deelnemers-2.csv.age")
    before = (zone.incoming / "deelnemers-2.csv.age").stat().st_mtime_ns - 10**9
    os.utime(zone.incoming / "deelnemers-1.csv.age", ns=(before, before))
    fund.at(datetime.now(UTC))
    assert take_incoming(fund.services) == 0


def test_a_signature_may_come_first_and_one_of_nothing_is_removed(zone: Zone) -> None:
    fund = zone.fund
    content = sealed_for_us(fund, as_csv(PEOPLE[:1]))
    zone.write("deelnemers.csv.age", content)
    zone.write(
        "deelnemers.csv.age.sig", fund.signer.sign(content, signing_namespace(AGREEMENT, "deelnemers.csv.age")).encode()
    )
    zone.sftp(f"put deelnemers.csv.age.sig {AREA}/", f"put deelnemers.csv.age.sig {AREA}/lost.csv.age.sig")
    fund.at(datetime.now(UTC))
    assert take_incoming(fund.services) == 0
    os.utime(zone.incoming / "lost.csv.age.sig")  # it came after the other
    zone.sftp(f"put deelnemers.csv.age {AREA}/")
    os.utime(zone.incoming / "deelnemers.csv.age", (1, 1))
    assert take_incoming(fund.services) == 1
    assert zone.waiting() == [".lost.csv.age.sig.upload", "lost.csv.age.sig"]
    fund.at(datetime.now(UTC) + timedelta(hours=1))
    assert take_incoming(fund.services) == 0
    assert zone.waiting() == []


def test_who_owns_the_drop_zone_can_put_no_list_of_its_own_there(zone: Zone) -> None:
    """It knows our public key and can write files; the recipient's signature it does not have."""
    fund = zone.fund
    zone.put(sealed_for_us(fund, as_csv(PEOPLE[:1])))
    signed = {file.name: file.read_bytes() for file in zone.incoming.iterdir()}
    assert take_incoming(fund.services) == 1
    forged = {
        "another list": {**signed, "deelnemers.csv.age": sealed_for_us(fund, as_csv(PEOPLE))},
        "another name": {name.replace("deelnemers.", "deelnemers.additions."): data for name, data in signed.items()},
        "its own key": {**signed, "deelnemers.csv.age.sig": Signer.generate().sign(
            signed["deelnemers.csv.age"], signing_namespace(AGREEMENT, "deelnemers.csv.age")).encode()},
        "no signature at all": {**signed, "deelnemers.csv.age.sig": b""},
    }  # fmt: skip
    for name, files in forged.items():
        for file, content in files.items():
            (zone.incoming / file).write_bytes(content)
        assert take_incoming(fund.services) == 1, name
    refused = [
        json.loads(event["detail"])["report"] for event in fund.events() if event["action"] == "participants.refused"
    ]
    assert len(refused) == len(forged)
    assert all("is not one by" in report["reason"] for report in refused)
    path.run(fund.services, fund.order())
    assert delivered(fund, fund.published()).get_column("bsn").to_list() == PEOPLE[:1]


def test_an_agreement_without_the_term_has_no_area(zone: Zone) -> None:
    conclude(zone.fund, "GLA-FREE", participants=None)
    zone.write("x", b"sealed")
    assert zone.sftp("put x /incoming/GLA-FREE/deelnemers.csv.age").returncode != 0
    assert {folder.name for folder in zone.incoming.parent.iterdir()} == {AGREEMENT}


def test_an_agreement_that_is_revoked_loses_its_area(zone: Zone) -> None:
    lifecycle.stop(zone.fund.services, AGREEMENT, AgreementState.ENDED, "over", "tester")
    zone.write("x", b"sealed")
    assert zone.sftp(f"put x {AREA}/deelnemers.csv.age").returncode != 0
    assert not zone.incoming.exists()


def test_a_recipient_without_an_area_sees_none(zone: Zone) -> None:
    services = zone.fund.services
    register_proven(services, "other", "90000103", generate_identity(), Signer.generate())
    other = zone.folder / "other"
    make_key(other)
    accounts = services.settings.dropzone_dir / "accounts.json"
    known = json.loads(accounts.read_bytes())
    known["accounts"].append({"name": "other", "keys": [public_line(other)]})
    accounts.write_text(json.dumps(known))
    zone.key = other
    zone.write("x", b"sealed")
    assert "incoming" not in zone.sftp("ls", user="other").stdout
    assert zone.sftp(f"put x {AREA}/deelnemers.csv.age", user="other").returncode != 0
    assert zone.sftp("ls /incoming", user="other").returncode != 0


def test_links_and_pipes_in_the_area_are_not_followed(zone: Zone) -> None:
    secret = zone.write("secret", b"sealed")
    (zone.incoming / "deelnemers.csv.age").symlink_to(secret)
    os.mkfifo(zone.incoming / "deelnemers-2.csv.age")
    (zone.incoming / "folder.csv.age").mkdir()
    assert take_incoming(zone.fund.services) == 0
    assert secret.exists()
    assert "deelnemers" not in zone.sftp(f"ls {AREA}").stdout


def test_a_file_that_cannot_be_judged_now_stays_and_does_not_stop_the_others(zone: Zone) -> None:
    fund = zone.fund
    conclude(fund, "GLA-OTHER")
    for agreement in (AGREEMENT, "GLA-OTHER"):
        zone.put(sealed_for_us(fund, as_csv(PEOPLE[:1])), agreement=agreement)
    damaged = fund.services.recipient_folder(RECIPIENT) / AGREEMENT
    damaged.write_bytes(b"a file where the reports must go")
    assert take_incoming(fund.services) == 1
    assert "deelnemers.csv.age" in zone.waiting()
    damaged.unlink()
    assert take_incoming(fund.services) == 1
    assert fund.services.recipient_folder(RECIPIENT).joinpath(AGREEMENT, "participants/set-000001.json").exists()


def test_what_a_killed_server_left_half_is_removed_by_the_next_one(world, tmp_path, require_program) -> None:
    require_program("sftp")
    zone = Zone(with_participants(world), tmp_path)
    (zone.incoming / ".0123.partial").write_bytes(b"half")
    (zone.incoming / ".0123.partial.ticket").write_bytes(b"half")
    with zone.running():
        assert zone.waiting() == []


def test_a_second_server_leaves_alone_what_comes_in_through_the_first(zone: Zone) -> None:
    with zone.client() as client, client.open(f"{AREA}/deelnemers.csv.age", "wb") as file:
        file.write(b"sealed")
        file.flush()
        with Dropzone(zone.fund.services.settings.dropzone_dir, zone.host_key, LIMITS):
            pass
    assert zone.waiting() == [".deelnemers.csv.age.upload", "deelnemers.csv.age"]


def test_two_files_of_one_name_at_once_are_one_file(zone: Zone) -> None:
    with zone.client() as client:
        one = client.open(f"{AREA}/deelnemers.csv.age", "wb")
        two = client.open(f"{AREA}/deelnemers.csv.age", "wb")
        one.write(b"one")
        two.write(b"two")
        one.close()
        two.close()  # paramiko's client does not tell that this was refused
    assert (zone.incoming / "deelnemers.csv.age").read_bytes() == b"one"
    _eventually(lambda: len(zone.waiting()) == 2)
