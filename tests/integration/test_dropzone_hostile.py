"""Whoever can reach the drop zone may do to it what is done here; recipients fetch their files meanwhile, in good time.

Strangers come from other addresses of the loopback network than the recipient.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import paramiko
import psutil
import pytest
from paramiko.common import MSG_EXT_INFO, MSG_USERAUTH_INFO_RESPONSE
from paramiko.sftp import CMD_FSETSTAT, CMD_INIT, CMD_OPEN, CMD_READ, CMD_SETSTAT, CMD_STAT, CMD_STATUS
from paramiko.sftp_attr import SFTPAttributes

from core.settings import DropzoneSettings
from tests.servers.dropzone import DELIVERY, Dropzone, DropzoneWorld

pytestmark = pytest.mark.server

MIB = 1024 * 1024
BIG = f"/deliveries/{DELIVERY}/big.age"
STRANGER = "127.0.0.2"
PLENTY = DropzoneSettings(port=0, login_seconds=60, connections_per_minute=60_000, upload_reserve_bytes=0)


@pytest.fixture
def world(tmp_path: Path, require_program: Callable[[str], str]) -> DropzoneWorld:
    require_program("sftp")
    world = DropzoneWorld.make(tmp_path)
    world.put("fonds", BIG.removeprefix("/deliveries/"), os.urandom(20 * MIB))
    return world


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def stranger(world: DropzoneWorld, address: str = STRANGER) -> socket.socket:
    return socket.create_connection(("127.0.0.1", world.port), timeout=30, source_address=(address, 0))


def lines_about(zone: Dropzone, address: str) -> list[str]:
    return [line for line in zone.log if f"address={address}:" in line]


@contextmanager
def a_recipient_is_served(world: DropzoneWorld, folder: Path) -> Iterator[None]:
    """From before the block until after it, a real client fetches the same file again and again, and gets it whole."""
    original = (world.root / "deliveries" / "fonds" / BIG.removeprefix("/deliveries/")).read_bytes()
    over, began, problems = threading.Event(), threading.Event(), []

    def fetch() -> None:
        while not over.is_set():
            done = world.sftp(f"get {BIG}", cwd=folder)
            if done.returncode or (folder / "big.age").read_bytes() != original:
                problems.append(done.stderr or "other bytes")
            began.set()

    thread = threading.Thread(target=fetch)
    thread.start()
    try:
        assert began.wait(60)
        yield
    finally:
        over.set()
        thread.join()
    assert problems == []


GARBAGE = [
    b"",
    b"\0",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    bytes.fromhex("1603010200010001fc0303") + bytes(500),  # TLS
    b"SSH-2.0-scanner\r\n",
    b"SSH-1.5-old\r\n",
    b"SSH-2.0-x\r\n" + struct.pack(">IB", 2**32 - 4, 4) + bytes(1000),  # a packet of four gigabytes
    b"SSH-2.0-x\r\n" + struct.pack(">IB", 0, 255) + bytes(1000),
    b"SSH-2.0-x\r\n" + struct.pack(">IBB", 12, 4, 20) + bytes(100),  # a key exchange that offers nothing
    b"SSH-2.0-" + b"x" * 5000 + b"\r\n",
    b"\xff" * 5000,
]


def test_scanners_and_garbage_are_a_line_each_and_no_more(world: DropzoneWorld, tmp_path: Path) -> None:
    noises = [*GARBAGE * 4, *(os.urandom(2000) for _ in range(10))]
    with world.running(PLENTY) as zone, a_recipient_is_served(world, tmp_path):
        for noise in noises:
            with stranger(world) as connection:
                connection.sendall(noise)
        wait_until(lambda: len(lines_about(zone, STRANGER)) >= len(noises))
        lines = lines_about(zone, STRANGER)
    assert len(lines) == len(noises)
    assert all("ended" in line and len(line) < 200 for line in lines)
    assert not any("badly" in line for line in zone.log)


@pytest.mark.parametrize("chunk", [b"x" * 1000, b"x\n" * 500])
def test_who_talks_without_end_is_cut_off(world: DropzoneWorld, tmp_path: Path, chunk: bytes) -> None:
    def talk() -> None:
        with stranger(world) as connection:
            while True:
                connection.sendall(chunk)

    with world.running(PLENTY) as zone, a_recipient_is_served(world, tmp_path):
        with pytest.raises(OSError, match=r"reset|pipe"):
            talk()
        wait_until(lambda: len(lines_about(zone, STRANGER)) == 1)


def test_five_hundred_connections_that_do_nothing_keep_nobody_out(world: DropzoneWorld, tmp_path: Path) -> None:
    addresses = [f"127.0.1.{number % 50 + 1}" for number in range(500)]
    with world.running(PLENTY) as zone:
        server = psutil.Process(zone.pid)
        with a_recipient_is_served(world, tmp_path), ExitStack() as held:
            for address in addresses:
                held.enter_context(stranger(world, address))
            wait_until(lambda: len([line for line in zone.log if "makes room" in line]) >= 500 - PLENTY.max_strangers)
            wait_until(lambda: len(server.children()) <= PLENTY.max_strangers + 5)  # who was told to leave is gone
        wait_until(lambda: len([line for line in zone.log if "address=127.0.1." in line]) == 500)


def test_from_one_address_five_hundred_are_mostly_refused_and_told_in_a_few_lines(
    world: DropzoneWorld, tmp_path: Path
) -> None:
    limits = PLENTY.model_copy(update={"connections_per_minute": 300})
    with world.running(limits) as zone:
        server = psutil.Process(zone.pid)
        with ExitStack() as held:
            for _ in range(500):
                held.enter_context(stranger(world))
            assert world.sftp(f"get {BIG}", cwd=tmp_path).returncode == 0
            wait_until(lambda: len(server.children()) <= limits.max_strangers_per_address + 5)
        assert 1 <= len([line for line in zone.log if "comes too often" in line]) <= 3


def test_a_storm_of_logins_locks_its_address_out_and_nobody_else(world: DropzoneWorld, tmp_path: Path) -> None:
    key = paramiko.PKey.from_path(world.keys / "stranger")

    def attempt(_: int) -> bool:
        try:
            connection = stranger(world)
        except OSError:
            return False
        with connection, paramiko.Transport(connection) as transport:
            try:
                transport.connect(username="fonds", pkey=key)
            except paramiko.AuthenticationException:
                return True
            except (paramiko.SSHException, EOFError, OSError):
                return False
            raise AssertionError("a stranger logged in")

    with world.running(PLENTY) as zone:
        with a_recipient_is_served(world, tmp_path), ThreadPoolExecutor(6) as pool:
            answered = sum(pool.map(attempt, range(80)))
        assert 10 <= answered < 80
        wait_until(lambda: len([line for line in zone.log if "login refused" in line]) == answered)
        assert any("locked out after" in line for line in lines_about(zone, STRANGER))


ENDLESS = 2**32 - 1  # so many items, says a message of a few bytes


@pytest.mark.parametrize("kind", [MSG_EXT_INFO, MSG_USERAUTH_INFO_RESPONSE])
@pytest.mark.parametrize("logged_in", [False, True])
def test_a_count_without_what_it_counts_ends_the_connection(world: DropzoneWorld, kind: int, logged_in: bool) -> None:
    key = paramiko.PKey.from_path(world.keys / "fonds")
    with world.running(PLENTY) as zone, paramiko.Transport(stranger(world)) as transport:
        transport.start_client(timeout=30)
        if logged_in:
            transport.auth_publickey("fonds", key)
        transport._send_message(paramiko.Message(bytes([kind]) + struct.pack(">I", ENDLESS)))  # type: ignore[attr-defined]
        wait_until(lambda: not transport.is_active(), 10)
        wait_until(lambda: not psutil.Process(zone.pid).children(), 10)


@pytest.mark.parametrize("kind", [CMD_OPEN, CMD_SETSTAT, CMD_FSETSTAT])
def test_a_request_with_endless_attributes_is_refused_and_the_session_goes_on(world: DropzoneWorld, kind: int) -> None:
    items = (b"hx1" if kind == CMD_FSETSTAT else BIG.encode(), *((1,) if kind == CMD_OPEN else ()))
    with world.running(PLENTY), raw_channel(world) as channel:
        answers = channel.makefile("rb")
        channel.sendall(request(kind, 2, *items, SFTPAttributes.FLAG_EXTENDED, ENDLESS))
        channel.sendall(request(CMD_STAT, 9, b"/"))
        kinds = {}
        while 9 not in kinds:
            answer = answers.read(int.from_bytes(answers.read(4), "big"))
            kinds[int.from_bytes(answer[1:5], "big")] = answer[0]
    assert kinds[2] == CMD_STATUS


def request(kind: int, number: int, *items: bytes | int) -> bytes:
    body = struct.pack(">BI", kind, number)
    for item in items:
        body += struct.pack(">I", len(item)) + item if isinstance(item, bytes) else struct.pack(">I", item)
    return struct.pack(">I", len(body)) + body


@contextmanager
def raw_channel(world: DropzoneWorld) -> Iterator[paramiko.Channel]:
    """An SFTP session whose client never reads an answer; the big file is open as `hx1`."""
    with paramiko.Transport(("127.0.0.1", world.port)) as transport:
        transport.connect(username="fonds", pkey=paramiko.PKey.from_path(world.keys / "fonds"))
        channel = transport.open_session(window_size=32_768)
        channel.invoke_subsystem("sftp")
        channel.sendall(request(CMD_INIT, 3))
        channel.sendall(request(CMD_OPEN, 1, BIG.encode(), 1, 0))
        yield channel


def until_cut_off(transport: paramiko.Transport, act: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    with suppress(OSError, EOFError, paramiko.SSHException):
        while transport.is_active():
            act()
            assert time.monotonic() < deadline, "it goes on"


def read(number: int) -> bytes:
    return request(CMD_READ, number, b"hx1", 0, 0, 200_000)


def test_a_client_that_sends_more_than_the_window_is_cut_off(world: DropzoneWorld) -> None:
    with world.running(PLENTY) as zone, world.client(user="other") as bystander, raw_channel(world) as channel:
        channel.out_window_size = 2**31
        until_cut_off(channel.get_transport(), lambda: channel.sendall(read(2) * 500))
        assert bystander.listdir("/") == ["deliveries"]
        wait_until(lambda: len([line for line in zone.log if line.endswith(": over")]) == 1)
        assert not any("does not end" in line for line in zone.log)  # what it asked for by then is not looked at


def test_a_client_that_asks_and_never_reads_is_idle(world: DropzoneWorld) -> None:
    with world.running(PLENTY.model_copy(update={"idle_seconds": 3})) as zone, raw_channel(world) as channel:
        channel.sendall(read(2) * 20)
        wait_until(lambda: not channel.get_transport().is_active(), 30)
        wait_until(lambda: any(line.endswith(": idle") for line in zone.log))


def test_a_request_of_megabytes_ends_the_session(world: DropzoneWorld) -> None:
    with world.running(PLENTY), raw_channel(world) as channel:
        channel.sendall(struct.pack(">I", 16 * MIB - 1))
        wait_until(lambda: channel.closed or not channel.get_transport().is_active(), 30)


def test_a_session_lasts_no_longer_than_it_may(world: DropzoneWorld) -> None:
    with world.running(PLENTY.model_copy(update={"session_seconds": 5})) as zone, world.client() as client:
        transport = client.get_channel().get_transport()
        until_cut_off(transport, lambda: client.listdir("/"))
        wait_until(lambda: any("lasted too long" in line for line in zone.log))


def test_a_recipient_with_too_many_connections_takes_no_ones_place(world: DropzoneWorld, tmp_path: Path) -> None:
    with world.running(PLENTY.model_copy(update={"max_per_recipient": 2})) as zone, world.client(), world.client():
        assert world.sftp("ls", cwd=tmp_path).returncode != 0
        assert world.sftp("ls", user="other", cwd=tmp_path).returncode == 0
        wait_until(lambda: any("this recipient has too many" in line for line in zone.log))
