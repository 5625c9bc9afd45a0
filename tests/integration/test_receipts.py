"""A recipient confirms, or does not accept, a delivery with OpenSSH's programs and with ours, against the real zone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apps.cli.open_delivery import open_delivery
from core.clock import from_rfc3339
from core.files import write_file
from flows.steps import path
from flows.steps.pickups import record_pickups
from flows.steps.receipts import take_receipts
from flows.steps.retention import remove_what_is_over
from keys.private.custody import Role
from keys.sshsig import Namespace
from ledger.history import history
from ledger.receipts import cases
from ledger.states import State
from tests.delivery_world import AGREEMENT, MARCH, RECIPIENT, World, make_world, world
from tests.integration.test_incoming import Zone

__all__ = ["make_world", "world"]
pytestmark = pytest.mark.server

DELIVERY = f"deliveries/{AGREEMENT}/2026-03/edition-1"
REST = timedelta(seconds=61)  # after which a receipt without a signature has none


@pytest.fixture
def zone(world: World, tmp_path: Path, require_program: Any) -> Iterator[Zone]:
    require_program("sftp")
    world.at(datetime.now(UTC))
    world.conclude()
    path.run(world.services, world.order())
    zone = Zone(world, tmp_path)
    write_file(tmp_path / "id_signer", world.signer.private_file(), mode=0o600)
    with zone.running():
        yield zone


def collect(zone: Zone, later: timedelta = timedelta()) -> int:
    """What the flow does, once the server has noticed that the client is gone."""
    spool, deadline = zone.fund.services.settings.dropzone_dir / "spool", time.monotonic() + 120
    while list(spool.glob(".*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    zone.fund.at(datetime.now(UTC) + later)
    return record_pickups(zone.fund.services) + take_receipts(zone.fund.services)


def state(zone: Zone) -> State:
    found = zone.fund.services.ledger.get(AGREEMENT, MARCH, 1)
    assert found is not None
    return found.state


def shell(zone: Zone, command: str) -> None:
    done = subprocess.run(["bash", "-ec", command], cwd=zone.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def waiting(zone: Zone) -> list[str]:
    return sorted(file.name for file in (zone.fund.services.receipts_folder / RECIPIENT).iterdir())


def fetched(zone: Zone) -> None:
    assert zone.sftp(f"get -r {DELIVERY}").returncode == 0


def test_a_recipient_with_nothing_but_openssh_confirms_a_delivery(zone: Zone) -> None:
    fetched(zone)
    shell(zone, "sha256sum edition-1/manifest.json > march.ack")
    sent = zone.sftp("put march.ack receipts/", "ls -1 receipts")
    assert (sent.returncode, "receipts/march.ack" in sent.stdout) == (0, True), sent.stderr
    assert collect(zone) == 5, "the readings; a receipt waits a minute for its signature"
    assert state(zone) is State.PICKED_UP
    assert collect(zone, REST) == 1
    assert state(zone) is State.CONFIRMED
    assert waiting(zone) == []
    [row] = history(zone.fund.services.engine)
    assert (row.signed, row.picked_up is not None, row.confirmed is not None) == (False, True, True)


def test_a_receipt_that_ssh_keygen_signed_counts_as_signed_at_once(zone: Zone) -> None:
    fetched(zone)
    shell(zone, "sha256sum edition-1/manifest.json > march.ack")
    shell(zone, f"ssh-keygen -Y sign -n {Namespace.RECEIPT} -f id_signer march.ack")
    assert zone.sftp("put march.ack receipts/", "put march.ack.sig receipts/").returncode == 0
    collect(zone)
    [row] = history(zone.fund.services.engine)
    assert (row.state, row.signed) == (State.CONFIRMED, True)


def test_a_negative_receipt_opens_a_case_and_the_zone_serves_on(zone: Zone) -> None:
    fetched(zone)
    shell(zone, "(sha256sum edition-1/manifest.json; echo cannot-open) > march.nack")
    assert zone.sftp("put march.nack receipts/").returncode == 0
    collect(zone, REST)
    assert [case.reason for case in cases(zone.fund.services.engine)] == ["cannot-open"]
    assert zone.sftp(f"ls {DELIVERY}").returncode == 0


NOT_ALLOWED = (
    "put march.ack receipts/march.txt",
    "put march.ack receipts/.march.ack",
    "put march.ack receipts/more/march.ack",
    "put march.ack receipts/../deliveries/march.ack",
    "put large.ack receipts/",
    "get receipts/first.ack",
    "rm receipts/first.ack",
    "rename receipts/first.ack receipts/second.ack",
    "mkdir receipts/more",
    "ln -s first.ack receipts/second.ack",
    "put march.ack receipts/first.ack",
)


def test_nothing_else_can_be_done_in_the_place_for_receipts(zone: Zone) -> None:
    zone.write("march.ack", b"x")
    zone.write("large.ack", b"x" * 20_000)
    zone.write("first.ack", b"first")
    assert zone.sftp("put first.ack receipts/").returncode == 0
    assert [command for command in NOT_ALLOWED if zone.sftp(command).returncode == 0] == []
    assert [name for name in waiting(zone) if not name.startswith(".")] == ["first.ack"]
    assert (zone.fund.services.receipts_folder / RECIPIENT / "first.ack").read_bytes() == b"first"


def opened(zone: Zone, *more: str) -> Result:
    """`gla open --ack` on the recipient's machine, against the zone."""
    fund, folder = zone.fund, zone.folder
    agreement = folder / f"{AGREEMENT}.json"
    agreement.write_bytes((fund.home / "agreements" / f"{AGREEMENT}.json").read_bytes())
    (folder / f"{AGREEMENT}.json.sig").write_text(fund.signer.sign(agreement.read_bytes(), Namespace.AGREEMENT))
    write_file(folder / "age.key", f"{fund.identity.secret_text()}\n".encode(), mode=0o600)
    host_key = fund.services.custody.public_key(Role.DROPZONE_HOST).line
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{zone.port} {host_key}\n")
    arguments = [
        str(folder / "edition-1"), "-i", str(folder / "age.key"), "--agreement", str(agreement),
        "--from", f"sftp://{RECIPIENT}@127.0.0.1:{zone.port}/{DELIVERY}", "--ssh-key", str(folder / "id_signer"),
        "--known-hosts", str(folder / "known_hosts"), *more,
    ]  # fmt: skip
    settings = fund.services.settings.model_copy(update={"home": folder / "own"})
    return CliRunner().invoke(open_delivery, arguments, obj=settings)


def test_open_with_ack_fetches_opens_and_confirms_in_one_command(zone: Zone) -> None:
    shown = opened(zone, "--ack")
    assert shown.exit_code == 0, (shown.output, shown.exception)
    assert "receipt sent to sftp://" in shown.output
    collect(zone)
    [row] = history(zone.fund.services.engine)
    assert (row.state, row.signed) == (State.CONFIRMED, True)


def test_open_with_ack_twice_says_that_the_zone_has_it(zone: Zone) -> None:
    assert opened(zone, "--ack").exit_code == 0
    again = opened(zone, "--ack", "--out", str(zone.folder / "again"))
    assert again.exit_code == 1 or again.exception is not None
    assert "perhaps it has them already" in str(again.exception)
    collect(zone)
    assert len([event for event in zone.fund.events() if event["action"] == "delivery.confirmed"]) == 1
    assert opened(zone, "--ack", "--out", str(zone.folder / "more")).exit_code == 0
    collect(zone)
    assert len([event for event in zone.fund.events() if event["action"] == "delivery.confirmed"]) == 1


def test_a_delivery_that_expires_while_a_client_reads_is_read_to_its_end_and_then_gone(zone: Zone) -> None:
    file = f"/{DELIVERY}/people.parquet.age"
    delivery = zone.fund.services.ledger.get(AGREEMENT, MARCH, 1)
    assert delivery is not None
    expected = (zone.fund.published() / "people.parquet.age").read_bytes()
    with zone.client() as client, client.open(file, "r") as reader:
        first = reader.read(1000)
        zone.fund.at(from_rfc3339(str(delivery.expires_at)))
        assert remove_what_is_over(zone.fund.services).gone == [f"{AGREEMENT}/2026-03/1"]
        assert first + reader.read() == expected
        with pytest.raises(OSError):
            client.open(file, "r")
        assert client.listdir(f"/deliveries/{AGREEMENT}/2026-03") == []
    assert state(zone) is State.EXPIRED
    assert collect(zone) == 1, "what was read is told, of what is over too"
    assert state(zone) is State.EXPIRED
