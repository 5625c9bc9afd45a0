"""Publishing to a real OpenSSH server while things go wrong: the right error, and never a part that shows."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from core.errors import (
    DestinationRefused,
    DestinationUnreachable,
    GlaError,
    HostKeyMismatch,
    ReadBackMismatch,
    UnusableInput,
)
from core.ids import new_id
from tests.publishing import publish_twice_at_once
from tests.servers.openssh import OpenSshServer, free_port, make_key, public_line
from tests.servers.proxy import CuttableProxy
from transports.publishing import publish
from transports.sftp import SftpDestination, SftpTransport

pytestmark = pytest.mark.server

DELIVERY = "GLA-1/2026-03/edition-1"
MIB = 1024 * 1024
STEP = 1 if os.environ.get("GLA_SOAK") == "1" else 6  # from one request before which it is cut to the next


@pytest.fixture
def far(openssh: OpenSshServer) -> Path:
    root = openssh.root / new_id()
    root.mkdir()
    return root


def destination_of(server: OpenSshServer, root: Path) -> SftpDestination:
    return SftpDestination(
        "127.0.0.1",
        server.port,
        server.user,
        str(root),
        server.host_key,
        server.user_key,
        connect_seconds=5,
        stall_seconds=5,
    )


@pytest.fixture
def destination(openssh: OpenSshServer, far: Path) -> SftpDestination:
    return destination_of(openssh, far)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {"data.age": tmp_path / "data.age", "manifest.json": tmp_path / "manifest.json"}
    made["data.age"].write_bytes(os.urandom(24 * MIB))
    made["manifest.json"].write_bytes(b"{}")
    return made


def visible(far: Path) -> list[str]:
    paths = [path.relative_to(far) for path in far.rglob("*") if path.is_file()]
    return sorted(str(path) for path in paths if not any(part.startswith(".") for part in path.parts))


def publish_to(destination: SftpDestination, files: dict[str, Path], token: str = "1") -> None:
    with SftpTransport(destination) as transport:
        publish(transport, files, DELIVERY, token)


def assert_carries_nothing_foreign(error: GlaError) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("sent", [1, 5 * MIB, 20 * MIB], ids=["at once", "early", "late"])
def test_connection_cut_while_writing_shows_nothing_and_the_next_attempt_succeeds(
    proxy: CuttableProxy, destination: SftpDestination, files: dict[str, Path], far: Path, sent: int
) -> None:
    through = replace(destination, port=proxy.port)
    with SftpTransport(through) as transport:
        proxy.cut_after(sent)
        with pytest.raises(DestinationUnreachable) as caught:
            publish(transport, files, DELIVERY, "1")
        assert_carries_nothing_foreign(caught.value)
        assert caught.value.transient
        with pytest.raises(DestinationUnreachable):  # and it does not pretend to live on
            transport.list("GLA-1")
    assert visible(far) == []
    publish_to(destination, files, "2")
    assert visible(far) == [f"{DELIVERY}/data.age", f"{DELIVERY}/manifest.json"]
    assert [path.name for path in (far / "GLA-1/2026-03").iterdir()] == ["edition-1"]


def counting(transport: SftpTransport, before: Callable[[int], None]) -> None:
    """Call `before` with the number of each request of SFTP, from 1 on, before it is sent."""
    numbers = itertools.count(1)

    def counted(send: Callable[..., int]) -> Callable[..., int]:
        def called(*arguments: object) -> int:
            before(next(numbers))
            return send(*arguments)

        return called

    client = transport._client
    for name in ("_async_request", "_ask_write"):
        setattr(client, name, counted(getattr(client, name)))


@pytest.mark.soak
def test_connection_cut_before_any_request_shows_nothing_that_is_not_whole(
    proxy: CuttableProxy, destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    files["data.age"].write_bytes(os.urandom(MIB + 5))
    made: list[int] = []
    with SftpTransport(destination) as transport:
        counting(transport, made.append)
        publish(transport, files, "GLA-0/2026-03/edition-1", "1")
    assert len(made) > 30
    for number in range(1, len(made) + 1, STEP):
        delivery = f"GLA-{number}/2026-03/edition-1"
        with SftpTransport(replace(destination, port=proxy.port)) as transport:
            counting(transport, lambda now, last=number: proxy.cut() if now == last else None)
            with pytest.raises(DestinationUnreachable):
                publish(transport, files, delivery, "1")
        whole = [f"{delivery}/data.age", f"{delivery}/manifest.json"]
        assert [name for name in visible(far) if name.startswith(f"GLA-{number}/")] in ([], whole)
        with SftpTransport(destination) as transport:
            publish(transport, files, delivery, "2")
        assert [path.name for path in (far / delivery).parent.iterdir()] == ["edition-1"]
        assert (far / delivery / "data.age").read_bytes() == files["data.age"].read_bytes()


def test_the_next_attempt_does_not_send_again_what_is_there(
    proxy: CuttableProxy, destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    with SftpTransport(replace(destination, port=proxy.port)) as transport:
        proxy.cut_after(12 * MIB)
        with pytest.raises(DestinationUnreachable):
            publish(transport, files, DELIVERY, "1")
    (left,) = far.glob("GLA-1/2026-03/.staging-edition-1-1/data.age")
    kept = left.stat()
    assert kept.st_size > 4 * MIB
    sent, went_on = 0, []
    with SftpTransport(destination) as transport:
        write = transport._client.write_block

        def counted(file, offset, block, waiting):  # type: ignore[no-untyped-def]
            nonlocal sent
            sent += len(block)
            went_on.append(offset)
            write(file, offset, block, waiting)

        transport._client.write_block = counted  # type: ignore[method-assign]
        publish(transport, files, DELIVERY, "2")
    assert went_on[0] >= kept.st_size, "the server may have written on after the cut"
    assert sent == 24 * MIB + 2 - went_on[0]
    assert (far / DELIVERY / "data.age").stat().st_ino == kept.st_ino
    assert (far / DELIVERY / "data.age").read_bytes() == files["data.age"].read_bytes()
    assert [path.name for path in (far / DELIVERY).parent.iterdir()] == ["edition-1"]


def test_what_an_attempt_left_damaged_is_sent_again(
    destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    left = far / "GLA-1/2026-03/.staging-edition-1-7"
    left.mkdir(parents=True)
    damaged = bytearray(files["data.age"].read_bytes())
    damaged[9 * MIB] ^= 1
    (left / "data.age").write_bytes(damaged)
    publish_to(destination, files, "8")
    assert (far / DELIVERY / "data.age").read_bytes() == files["data.age"].read_bytes()


def test_a_peer_that_pauses_is_waited_for(
    proxy: CuttableProxy, destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    with SftpTransport(replace(destination, port=proxy.port)) as transport:
        pauses = iter([3, 20, 40])
        pause = next(pauses)

        def pausing(number: int) -> None:
            nonlocal pause
            if number == pause:
                pause = next(pauses, 0)
                proxy.stall()
                threading.Timer(0.5, proxy.resume).start()

        counting(transport, pausing)
        publish(transport, files, DELIVERY, "1")
        assert pause == 0
    assert visible(far) == [f"{DELIVERY}/data.age", f"{DELIVERY}/manifest.json"]


def test_a_server_that_refuses_to_rename_shows_nothing_and_keeps_nothing(
    openssh_factory: Callable[[], OpenSshServer], files: dict[str, Path]
) -> None:
    server = openssh_factory()
    server.stop()
    server.sftp_options = "-P rename,posix-rename"
    server.start()
    with pytest.raises(DestinationRefused, match="permissions"):
        publish_to(destination_of(server, server.root), files)
    assert [path for path in server.root.rglob("*") if path.is_file()] == []


def test_a_folder_that_appears_meanwhile_is_left_alone(
    destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    def meanwhile(_receipts: object) -> None:
        (far / DELIVERY).mkdir()

    with SftpTransport(destination) as transport, pytest.raises(DestinationRefused, match="exists"):
        publish(transport, files, DELIVERY, "1", meanwhile)
    assert list((far / DELIVERY).iterdir()) == []
    assert [path.name for path in (far / DELIVERY).parent.iterdir()] == ["edition-1"]


@pytest.mark.parametrize("moment", [0, 4_000_000_000], ids=["1970", "2096"])
def test_the_clock_of_the_server_decides_nothing(
    destination: SftpDestination, files: dict[str, Path], far: Path, moment: int
) -> None:
    left = far / "GLA-1/2026-03/.staging-edition-1-7"
    left.mkdir(parents=True)
    (left / "data.age").write_bytes(files["data.age"].read_bytes()[: 2 * MIB])
    for path in (left / "data.age", left, left.parent):
        os.utime(path, (moment, moment))
    publish_to(destination, files, "8")
    assert (far / DELIVERY / "data.age").read_bytes() == files["data.age"].read_bytes()
    os.utime(far / DELIVERY / "data.age", (moment, moment))
    publish_to(destination, files, "9")
    assert (far / DELIVERY / "data.age").stat().st_mtime == moment


def test_two_publishers_at_once_leave_one_whole_delivery(
    destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    publish_twice_at_once(lambda: SftpTransport(destination), files, DELIVERY)
    assert visible(far) in ([], [f"{DELIVERY}/data.age", f"{DELIVERY}/manifest.json"])
    publish_to(destination, files, "3")
    assert visible(far) == [f"{DELIVERY}/data.age", f"{DELIVERY}/manifest.json"]
    assert (far / DELIVERY / "data.age").read_bytes() == files["data.age"].read_bytes()


def test_connection_cut_while_reading_back_shows_nothing(
    proxy: CuttableProxy, destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    class CutsWhenReading(SftpTransport):
        def read(self, name: str, offset: int = 0, size: int | None = None):  # type: ignore[no-untyped-def]
            for block in super().read(name, offset, size):
                proxy.cut()
                yield block

    with CutsWhenReading(replace(destination, port=proxy.port)) as transport, pytest.raises(DestinationUnreachable):
        publish(transport, files, DELIVERY, "1")
    assert visible(far) == []


def test_connection_cut_during_the_handshake_is_unreachable(proxy: CuttableProxy, destination: SftpDestination) -> None:
    proxy.cut_after(1)
    with pytest.raises(DestinationUnreachable) as caught:
        SftpTransport(replace(destination, port=proxy.port))
    assert_carries_nothing_foreign(caught.value)


def test_a_connection_that_carries_nothing_any_more_ends_after_the_stall_time(
    proxy: CuttableProxy, destination: SftpDestination, files: dict[str, Path]
) -> None:
    with SftpTransport(replace(destination, port=proxy.port, stall_seconds=1)) as transport:
        proxy.stall()
        began = time.monotonic()
        with pytest.raises(DestinationUnreachable):
            publish(transport, files, DELIVERY, "1")
        assert time.monotonic() - began < 4


def test_a_server_that_dies_while_writing_shows_nothing_and_after_its_return_the_delivery_succeeds(
    openssh_factory: Callable[[], OpenSshServer], files: dict[str, Path]
) -> None:
    server = openssh_factory()

    class Dies(SftpTransport):
        def put(self, source: Path, name: str):  # type: ignore[no-untyped-def]
            receipt = super().put(source, name)
            server.stop()
            return receipt

    with Dies(destination_of(server, server.root)) as transport, pytest.raises(DestinationUnreachable):
        publish(transport, files, DELIVERY, "1")
    assert visible(server.root) == []
    with pytest.raises(DestinationUnreachable):
        publish_to(destination_of(server, server.root), files, "2")
    server.start()
    publish_to(destination_of(server, server.root), files, "3")
    assert visible(server.root) == [f"{DELIVERY}/data.age", f"{DELIVERY}/manifest.json"]


def test_a_server_that_is_not_there_is_unreachable(destination: SftpDestination) -> None:
    with pytest.raises(DestinationUnreachable) as caught:
        SftpTransport(replace(destination, port=free_port()))
    assert_carries_nothing_foreign(caught.value)
    with pytest.raises(DestinationUnreachable):
        SftpTransport(replace(destination, host="no-such-host.invalid"))


def test_an_unknown_host_key_of_another_type_stops_before_we_log_in(
    destination: SftpDestination, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pinned = public_line(make_key(tmp_path / "other", "ecdsa"))
    with caplog.at_level(logging.DEBUG, "paramiko"), pytest.raises(HostKeyMismatch) as caught:
        SftpTransport(replace(destination, host_key=pinned))
    assert_carries_nothing_foreign(caught.value)
    assert "userauth" not in caplog.text


def test_a_changed_host_key_stops_before_we_log_in_and_names_both_fingerprints(
    openssh_factory: Callable[[], OpenSshServer], files: dict[str, Path]
) -> None:
    server = openssh_factory()
    agreed = destination_of(server, server.root)
    publish_to(agreed, files)
    server.stop()
    for name in ["host_key", "host_key.pub"]:
        (server.folder / name).unlink()
    make_key(server.folder / "host_key")
    server.start()
    with pytest.raises(HostKeyMismatch) as caught:
        publish_to(agreed, files)
    assert str(caught.value).count("SHA256:") == 2
    publish_to(replace(agreed, host_key=server.host_key), files)


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAAB3NzaC1kc3M=", "*", "ssh-rsa !!"])
def test_a_destination_without_a_usable_host_key_cannot_be_made(destination: SftpDestination, line: str) -> None:
    with pytest.raises(UnusableInput):
        replace(destination, host_key=line)


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 3072), ("ecdsa", 256)])
def test_host_keys_of_other_types_can_be_pinned_too(
    openssh_factory: Callable[[], OpenSshServer], files: dict[str, Path], kind: str, bits: int
) -> None:
    server = openssh_factory()
    server.stop()
    for name in ["host_key", "host_key.pub"]:
        (server.folder / name).unlink()
    make_key(server.folder / "host_key", kind, bits)
    server.start()
    publish_to(destination_of(server, server.root), files)


def test_a_wrong_user_key_is_refused(openssh: OpenSshServer, destination: SftpDestination) -> None:
    with pytest.raises(DestinationRefused) as caught:
        SftpTransport(replace(destination, identity_file=openssh.wrong_key))
    assert_carries_nothing_foreign(caught.value)
    assert not caught.value.transient


@pytest.mark.parametrize("content", [None, b"", b"not a key", b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\nAAAA\n"])
def test_an_identity_file_that_is_no_key_is_refused_without_showing_it(
    destination: SftpDestination, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "identity"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DestinationRefused) as caught:
        SftpTransport(replace(destination, identity_file=path))
    assert_carries_nothing_foreign(caught.value)
    assert "AAAA" not in str(caught.value)


def test_a_folder_where_we_may_not_write_is_refused(destination: SftpDestination, files: dict[str, Path]) -> None:
    with pytest.raises(DestinationRefused):
        publish_to(replace(destination, root="/proc"), files)


def test_a_full_disk_at_the_server_shows_nothing(destination: SftpDestination, files: dict[str, Path]) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("no /dev/full here")

    class Full(SftpTransport):
        def _path(self, name: str) -> str:
            return "/dev/full" if name.endswith("data.age") else super()._path(name)

        def put(self, source: Path, name: str):  # type: ignore[no-untyped-def]
            opened, self._client.open = self._client.open, lambda path, mode: opened(path, "w")  # type: ignore[method-assign]
            return super().put(source, name)

    with Full(destination) as transport, pytest.raises(DestinationRefused, match="full"):
        publish(transport, files, DELIVERY, "1")
    assert [path for path in Path(destination.root).rglob("*") if path.is_file()] == []


def test_a_delivery_that_is_there_already_is_not_written_again(
    destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    publish_to(destination, files, "1")
    before = (far / DELIVERY / "data.age").stat()
    publish_to(destination, files, "2")
    after = (far / DELIVERY / "data.age").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_delivery_that_is_there_with_other_content_is_refused_and_left_alone(
    destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    publish_to(destination, files, "1")
    (far / DELIVERY / "data.age").write_bytes(b"\0" * (24 * MIB))
    with pytest.raises(ReadBackMismatch):
        publish_to(destination, files, "2")
    assert (far / DELIVERY / "data.age").read_bytes() == b"\0" * (24 * MIB)


def test_leftover_staging_of_a_killed_attempt_is_removed(
    destination: SftpDestination, files: dict[str, Path], far: Path
) -> None:
    left = far / "GLA-1/2026-03/.staging-edition-1-7"
    left.mkdir(parents=True)
    (left / "data.age").write_bytes(b"half")
    publish_to(destination, files, "8")
    assert [path.name for path in (far / "GLA-1/2026-03").iterdir()] == ["edition-1"]


def test_only_strong_algorithms_are_used(destination: SftpDestination) -> None:
    with SftpTransport(destination) as transport:
        connection: paramiko.Transport = transport._connection._transport
        assert connection.remote_cipher == connection.local_cipher == "aes256-gcm@openssh.com"
        assert "cbc" not in "".join(connection.get_security_options().ciphers)


def test_no_key_is_logged_at_debug(
    openssh: OpenSshServer, destination: SftpDestination, files: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        publish_to(destination, files)
    lines = openssh.user_key.read_text().splitlines()[1:-1]
    assert not any(line in caplog.text for line in lines)
