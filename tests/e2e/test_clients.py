"""Programs that recipients have fetch a delivery from both servers, ours and OpenSSH's. Each is cut, and goes on.

What a program cannot do is said in `tests/e2e/clients.py`, and in the table of docs/openssh.md, which is checked here.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from schemas.accounts import Pickup
from schemas.spans import Spans, add_span, covers, whole_together
from tests.e2e.clients import CLIENTS, MIB, NPM, Client, Place
from tests.servers.dropzone import DELIVERY, DropzoneWorld
from tests.servers.openssh import wait_for_port
from tests.servers.openssh_zone import OpensshWorld, need_root
from tests.servers.proxy import CuttableProxy

pytestmark = pytest.mark.server

SIZE = 8 * MIB + 12_345
BIG = f"{DELIVERY}/big.parquet.age"
CONTENT = random.Random(1).randbytes(SIZE)
KIB = 1024


@pytest.fixture(scope="module", params=["gla", "openssh"])
def zone(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]
) -> Iterator[DropzoneWorld]:
    """A server with a delivery in it, for all tests of this file."""
    for name in ("sshd", "sftp", "ssh-keygen"):
        require_program(name)
    if request.param == "gla":
        world = DropzoneWorld.make(tmp_path_factory.mktemp("zone"))
        world.put("fonds", BIG, CONTENT)
        with world.running():
            yield world
        return
    need_root()
    with OpensshWorld.made() as world:
        world.put("fonds", BIG, CONTENT)
        with world.running():
            yield world


@pytest.fixture
def place(zone: DropzoneWorld, tmp_path: Path) -> Place:
    return Place(zone, tmp_path / "recipient", zone.port)


@pytest.fixture
def news(zone: DropzoneWorld) -> Callable[[Callable[[list[Pickup]], bool]], list[Pickup]]:
    """Waits until what was picked up in this test is as it is asked for."""
    before = {pickup.session for pickup in zone.pickups()}

    def wait(enough: Callable[[list[Pickup]], bool]) -> list[Pickup]:
        end = time.monotonic() + 30
        while True:
            found = [pickup for pickup in zone.pickups() if pickup.session not in before]
            if enough(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.05)

    return wait


def need(client: Client, require_program: Callable[[str], str]) -> None:
    for program in client.programs:
        require_program(program)
    needed = {"sshfs": Path("/dev/fuse"), "ssh2-sftp-client": NPM / "node_modules" / "ssh2-sftp-client"}
    path = needed.get(client.name)
    if path is not None and not path.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{path.name} is not there: make test")


def is_right(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()


def of_big(pickups: list[Pickup]) -> list[Pickup]:
    return [pickup for pickup in pickups if pickup.path == BIG]


def has_all(client: Client, pickups: list[Pickup]) -> bool:
    """Whether every byte was sent, and if the client does that, the file closed."""
    spans: Spans = ()
    for start, end in (span for pickup in pickups for span in pickup.spans):
        spans = add_span(spans, start, end)
    return covers(spans, SIZE) and bool(pickups) and (whole_together(pickups) or not client.closes)


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name.replace(" ", "-"))
def test_a_client_fetches_a_file_and_that_is_recorded(place, news, require_program, client):
    need(client, require_program)
    local = place.folder / "big"
    done = client.fetch(place, f"/deliveries/{BIG}", local, False)
    assert done.returncode == 0, done.stderr
    assert is_right(local)
    pickups = of_big(news(lambda found: has_all(client, of_big(found))))
    assert {(each.recipient, each.address, each.size) for each in pickups} == {("fonds", "127.0.0.1", SIZE)}
    assert {each.fingerprint for each in pickups} == {fingerprint(place)}


def fingerprint(place: Place) -> str:
    return place.run("ssh-keygen", "-lf", str(place.key)).stdout.split()[1]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name.replace(" ", "-"))
def test_a_client_that_is_cut_in_the_middle_goes_on_and_all_parts_are_recorded(
    zone, news, require_program, client, tmp_path
):
    need(client, require_program)
    local = tmp_path / "big"
    with CuttableProxy(zone.port, every=client.cut_after) as proxy:
        cut = client.fetch(Place(zone, tmp_path / "cut", proxy.port), f"/deliveries/{BIG}", local, False)
    if client.alone:
        assert cut.returncode == 0, cut.stderr
        assert is_right(local)
        parts = of_big(news(lambda found: has_all(client, of_big(found))))
        assert len(parts) > 1
        assert not any(part.whole for part in parts)
        return
    assert cut.returncode != 0
    parts = of_big(news(lambda found: bool(of_big(found))))
    assert not any(part.whole for part in parts)
    assert not whole_together(parts)

    with CuttableProxy(zone.port) as proxy:
        place = Place(zone, tmp_path / "again", proxy.port)
        done = client.fetch(place, f"/deliveries/{BIG}", local, True)
        answered = proxy.answered
    assert done.returncode == 0, done.stderr
    assert is_right(local)
    assert answered < SIZE
    found = of_big(news(lambda found: whole_together(of_big(found))))
    assert not any(each.whole for each in found)


SIZES = {"none": 0, "one": 1, "1k": KIB, "1024k": MIB, "all-but-one": SIZE - 1, "all": SIZE}


def test_sftp_reget_goes_on_from_any_size(place, news):
    for name, size in SIZES.items():
        (place.folder / name).write_bytes(CONTENT[:size])
    done = place.sftp(*(f"reget /deliveries/{BIG} {name}" for name in SIZES))
    assert done.returncode == 0, done.stderr
    assert all(is_right(place.folder / name) for name in SIZES)
    pickups = of_big(news(lambda found: len(of_big(found)) == 5))  # of the one that was complete nothing is read
    assert sorted(each.spans for each in pickups) == sorted(((size, SIZE),) for size in SIZES.values() if size < SIZE)
    assert [each.whole for each in sorted(pickups, key=lambda each: each.spans)] == [True, False, False, False, False]


def test_four_sftp_clients_at_once_each_get_it_whole(zone, news, tmp_path):
    places = [Place(zone, tmp_path / str(number), zone.port) for number in range(4)]
    with ThreadPoolExecutor(4) as threads:
        runs = list(threads.map(lambda place: place.sftp(f"get /deliveries/{BIG}"), places))
    assert [run.returncode for run in runs] == [0] * 4
    assert all(is_right(place.folder / "big.parquet.age") for place in places)
    pickups = news(lambda found: len(of_big(found)) == 4)
    assert all(each.whole for each in pickups)
    assert len({each.session for each in pickups}) == 4


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("program", ["sftp", "lftp", "rclone"])
def test_a_whole_tree_is_fetched_and_compared(zone, place, news, require_program, program):
    require_program(program)
    commands = {
        "sftp": lambda: place.sftp("get -r deliveries here"),
        "lftp": lambda: place.lftp("mirror -c --parallel=2 deliveries here"),
        "rclone": lambda: place.rclone("copy", "zone:deliveries", "here"),
    }
    done = commands[program]()
    assert done.returncode == 0, done.stderr
    assert tree(place.folder / "here") == tree(zone.root / "deliveries" / "fonds")
    names = {f"{DELIVERY}/{name}" for name in ("big.parquet.age", "data.parquet.age", "manifest.json")}
    news(lambda found: {each.path for each in found if each.whole or program == "lftp"} == names)
    if program == "rclone":
        checked = place.rclone("check", "--download", "zone:deliveries", "here")
        assert checked.returncode == 0, checked.stderr
        (place.folder / "here" / DELIVERY / "manifest.json").write_bytes(b'{"for":"fondz"}')
        assert place.rclone("check", "--download", "zone:deliveries", "here").returncode != 0


# What neither server lets a recipient do


def test_what_is_hidden_is_neither_seen_nor_read(zone, place):
    zone.put("fonds", "GLA-1/2026-03/.staging-0123/data.parquet.age", b"half")
    zone.put("fonds", "GLA-1/.hidden.json", b"x")
    zone.put("fonds", "GLA-1/2026-03/edition-2/manifest.json", b"x")  # which came later, and is seen
    end = time.monotonic() + 30
    while place.sftp("get /deliveries/GLA-1/2026-03/edition-2/manifest.json").returncode:
        assert time.monotonic() < end
    shown = place.sftp("ls -la /deliveries/GLA-1", "ls -la /deliveries/GLA-1/2026-03")
    assert shown.returncode == 0
    assert ".staging" not in shown.stdout
    assert "hidden" not in shown.stdout
    assert place.sftp("get /deliveries/GLA-1/2026-03/.staging-0123/data.parquet.age").returncode != 0
    for name in (".staging-0123", "edition-2"):
        shutil.rmtree(zone.root / "deliveries/fonds/GLA-1/2026-03" / name)
    (zone.root / "deliveries/fonds/GLA-1/.hidden.json").unlink()


REFUSED = [
    "put known deliveries/GLA-1/x",
    f"put known deliveries/{BIG}",
    "put known x",
    f"rm deliveries/{BIG}",
    f"rename deliveries/{BIG} deliveries/x",
    "mkdir deliveries/x",
    f"rmdir deliveries/{DELIVERY}",
    f"chmod 777 deliveries/{BIG}",
    f"symlink / deliveries/{DELIVERY}/x",
    f"ln deliveries/{BIG} x",
    "ls /deliveries/../../other",
    "ls /etc",
    f"get /../deliveries/other/{DELIVERY}/manifest.json",
]


def test_everything_else_is_refused(zone, place):
    (place.folder / "known").write_bytes(b"x")
    before = tree(zone.root / "deliveries")
    done = place.sftp(*(f"-{command}" for command in REFUSED))  # it goes on after one that fails
    assert done.returncode == 0, done.stderr
    answers = re.split(r"sftp> -.*", done.stdout)
    assert len(answers) == len(REFUSED) + 1
    assert len(re.findall(r"denied|Failure|not found|No such file|does not support", done.stderr)) == len(REFUSED)
    assert tree(zone.root / "deliveries") == before
    assert {path.name for path in place.folder.iterdir()} == {"known", place.known_hosts.name}


def test_a_recipient_gets_its_own_files_only(place):
    assert place.sftp(f"get /deliveries/{DELIVERY}/manifest.json fonds").returncode == 0
    other = Place(place.world, place.folder, place.port, user="other")
    assert other.sftp(f"get /deliveries/{DELIVERY}/manifest.json other").returncode == 0
    assert (place.folder / "fonds").read_bytes() == b'{"for":"fonds"}'
    assert (place.folder / "other").read_bytes() == b'{"for":"other"}'


@pytest.mark.parametrize("command", ["id", "", "scp -f x"], ids=["command", "shell", "scp"])
def test_there_is_no_shell_and_no_command(place, command):
    done = place.run("ssh", *place.ssh_options, "-T", "-p", str(place.port), "fonds@127.0.0.1", *command.split())
    assert done.returncode != 0
    assert "uid" not in done.stdout


# What a recipient sends


@pytest.fixture
def areas(zone: DropzoneWorld) -> Iterator[DropzoneWorld]:
    """The areas as the flows make them."""
    folders = [zone.root / "incoming" / "fonds" / "GLA-1", zone.root / "receipts" / "fonds"]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    yield zone
    end = time.monotonic() + 30
    while any(next(folder.glob(".*"), None) for folder in folders) and time.monotonic() < end:
        time.sleep(0.05)  # the zone takes a draft away just after its file has appeared
    for folder in folders:
        shutil.rmtree(folder)


def arrived(zone: DropzoneWorld, path: str, seconds: float = 30) -> Path:
    target, end = zone.root / path, time.monotonic() + seconds
    while not target.exists():
        assert time.monotonic() < end, f"{path} did not arrive"
        time.sleep(0.05)
    return target


def put_when_there_is_a_place(place: Place, source: str, target: str) -> None:
    end = time.monotonic() + 30
    while (done := place.sftp(f"put {source} {target}")).returncode:
        assert time.monotonic() < end, done.stderr
        time.sleep(0.2)


@pytest.mark.parametrize("target", ["incoming/GLA-1/list.csv.age", "receipts/x.ack"])
def test_what_a_recipient_sends_arrives_whole_with_its_ticket(areas, place, target):
    (place.folder / "sent").write_bytes(b"a line\n" * 1000)
    put_when_there_is_a_place(place, "sent", target)
    folder, _, name = target.rpartition("/")
    area = folder.replace("incoming", "incoming/fonds").replace("receipts", "receipts/fonds")
    assert arrived(areas, f"{area}/{name}").read_bytes() == b"a line\n" * 1000
    ticket = arrived(areas, f"{area}/.{name}.upload").read_text()
    assert '"recipient":"fonds"' in ticket
    assert f'"fingerprint":"{fingerprint(place)}"' in ticket
    assert '"address":"127.0.0.1"' in ticket


def test_what_is_cut_while_it_is_sent_never_arrives(areas, place):
    (place.folder / "small").write_bytes(b"x")
    put_when_there_is_a_place(place, "small", "incoming/GLA-1/first.age")
    arrived(areas, "incoming/fonds/GLA-1/first.age")
    (place.folder / "large").write_bytes(CONTENT)
    with CuttableProxy(place.port) as proxy:
        proxy.cut_after(3 * MIB)
        cut = Place(areas, place.folder, proxy.port).sftp("put large incoming/GLA-1/large.age")
    assert cut.returncode != 0
    put_when_there_is_a_place(place, "small", "incoming/GLA-1/last.age")
    arrived(areas, "incoming/fonds/GLA-1/last.age")
    names = {path.name for path in (areas.root / "incoming/fonds/GLA-1").iterdir() if not path.name.startswith(".")}
    assert names == {"first.age", "last.age"}


# Who may be there


def test_a_stranger_is_not_let_in(zone, place):
    for user, key in [("fonds", "other"), ("fonds", "stranger"), ("nobody", "fonds"), ("root", "fonds")]:
        assert zone.sftp("ls", user=user, key=key, cwd=place.folder).returncode != 0
    assert place.sftp("ls").returncode == 0


def test_a_revoked_key_loses_its_session_within_seconds_and_cannot_come_back(zone, place, news):
    with CuttableProxy(zone.port) as proxy, ThreadPoolExecutor(1) as thread:
        proxy.pause_after(2 * MIB)
        slow = Place(zone, place.folder / "slow", proxy.port)
        running = thread.submit(slow.sftp, f"get /deliveries/{BIG}")
        end = time.monotonic() + 30
        while proxy.answered < 2 * MIB:
            assert time.monotonic() < end
            time.sleep(0.05)
        keys, zone.keys_of["fonds"] = zone.keys_of["fonds"], []
        try:
            zone.write_accounts()
            began = time.monotonic()
            [pickup] = news(lambda found: bool(of_big(found)))
            assert time.monotonic() - began < 10  # two on a quiet machine
            assert not pickup.whole
            proxy.resume()
            assert running.result().returncode != 0
            assert place.sftp("ls").returncode != 0
        finally:
            zone.keys_of["fonds"] = keys
            zone.write_accounts()
    wait_for_port(zone.port)
    assert place.sftp("ls").returncode == 0


def test_what_was_delivered_under_a_revoked_agreement_is_read_no_more(zone, place, news):
    """Another agreement is in force: its deliveries stay, and only the session that is open ends."""
    revoked, kept = "GLA-2/2026-03/edition-1/data.age", f"{DELIVERY}/manifest.json"
    zone.put("fonds", revoked, CONTENT)
    end = time.monotonic() + 30
    while place.sftp(f"ls /deliveries/{revoked}").returncode != 0:
        assert time.monotonic() < end
        time.sleep(0.1)
    with CuttableProxy(zone.port) as proxy, ThreadPoolExecutor(1) as thread:
        proxy.pause_after(2 * MIB)
        slow = Place(zone, place.folder / "slow", proxy.port)
        running = thread.submit(slow.sftp, f"get /deliveries/{revoked}")
        while proxy.answered < 2 * MIB:
            assert time.monotonic() < end
            time.sleep(0.05)
        zone.revoked_of = {"fonds": ("GLA-2",)}
        try:
            zone.write_accounts()
            began = time.monotonic()
            [pickup] = news(lambda found: [each for each in found if each.path == revoked])
            assert time.monotonic() - began < 10  # two on a quiet machine
            assert not pickup.whole
            proxy.resume()
            assert running.result().returncode != 0
            assert "GLA-2" not in place.sftp("ls /deliveries").stdout
            for path in ("GLA-2", revoked):
                assert place.sftp(f"ls /deliveries/{path}").returncode != 0
            assert place.sftp(f"get /deliveries/{revoked} mine").returncode != 0
            assert place.sftp(f"get /deliveries/{kept}").returncode == 0
        finally:
            zone.revoked_of = {}
            zone.write_accounts()
            shutil.rmtree(zone.root / "deliveries" / "fonds" / "GLA-2")


def test_a_session_that_is_open_ends_also_if_it_has_nothing_of_the_revoked_agreement(zone, place):
    with zone.client() as client, zone.client(user="other") as bystander:
        transport = client.get_channel().get_transport()
        assert "deliveries" in client.listdir("/")
        zone.revoked_of = {"fonds": ("GLA-0",)}
        try:
            zone.write_accounts()
            end = time.monotonic() + 30
            while transport.is_active():
                assert time.monotonic() < end
                time.sleep(0.05)
            assert "deliveries" in bystander.listdir("/")
            assert place.sftp(f"get /deliveries/{DELIVERY}/manifest.json").returncode == 0
        finally:
            zone.revoked_of = {}
            zone.write_accounts()
