"""Ways to an SFTP server: with a key that an agent holds, through a bastion, and not faster than was asked."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from core.errors import DestinationRefused, DestinationUnreachable, HostKeyMismatch, UnusableInput
from core.ids import new_id
from tests.servers.openssh import OpenSshServer, free_port, make_key, public_line
from tests.servers.proxy import CuttableProxy
from transports.base import Receipt
from transports.publishing import publish
from transports.registration import SftpRegistration
from transports.registry import Destinations
from transports.sftp import SftpDestination, SftpTransport
from transports.ssh import SshServer
from transports.trying import checked

pytestmark = pytest.mark.server

DELIVERY = "GLA-1/2026-03/edition-1"
MIB = 1024 * 1024


@pytest.fixture
def far(openssh: OpenSshServer) -> Path:
    root = openssh.root / new_id()
    root.mkdir()
    return root


@pytest.fixture
def destination(openssh: OpenSshServer, far: Path) -> SftpDestination:
    return SftpDestination(
        "127.0.0.1", openssh.port, openssh.user, str(far), openssh.host_key, openssh.user_key, connect_seconds=10
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {"data.age": tmp_path / "data.age", "manifest.json": tmp_path / "manifest.json"}
    made["data.age"].write_bytes(os.urandom(5 * MIB))
    made["manifest.json"].write_bytes(b"{}")
    return made


def send(destination: SftpDestination, files: dict[str, Path]) -> tuple[Receipt, ...]:
    with SftpTransport(destination) as transport:
        return publish(transport, files, DELIVERY, "1")


# An agent


@dataclass
class Agent:
    socket: Path

    def add(self, key: Path) -> None:
        self._run(str(key))

    def forget_all(self) -> None:
        self._run("-D")

    def _run(self, *arguments: str) -> None:
        environment = {**os.environ, "SSH_AUTH_SOCK": str(self.socket)}
        subprocess.run(["ssh-add", "-q", *arguments], env=environment, check=True, capture_output=True)


@pytest.fixture
def agent(require_program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    require_program("ssh-add")
    socket = tmp_path_factory.mktemp("a") / "s"
    process = subprocess.Popen([require_program("ssh-agent"), "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    while not socket.exists():
        assert process.poll() is None
        time.sleep(0.02)
    yield Agent(socket)
    process.kill()
    process.wait()


@pytest.fixture
def by_agent(destination: SftpDestination, agent: Agent, openssh: OpenSshServer) -> SftpDestination:
    public = openssh.user_key.with_name(openssh.user_key.name + ".pub")
    return replace(destination, identity_file=public, agent=agent.socket)


def test_a_key_that_an_agent_holds_logs_in(
    by_agent: SftpDestination, agent: Agent, openssh: OpenSshServer, files: dict[str, Path]
) -> None:
    agent.add(openssh.wrong_key)
    agent.add(openssh.user_key)
    send(by_agent, files)


@pytest.mark.parametrize(("kind", "bits"), [("rsa", 3072), ("ecdsa", 256)])
def test_an_agent_can_hold_keys_of_other_types(
    by_agent: SftpDestination, agent: Agent, openssh: OpenSshServer, files: dict[str, Path], kind: str, bits: int,
    tmp_path: Path,
) -> None:  # fmt: skip
    key = make_key(tmp_path / "key", kind, bits)
    with (openssh.folder / "authorized_keys").open("a") as accepted:
        accepted.write(public_line(key) + "\n")
    agent.add(key)
    send(replace(by_agent, identity_file=tmp_path / "key.pub"), files)


def test_an_agent_without_our_key_is_told_from_one_that_is_not_there(
    by_agent: SftpDestination, agent: Agent, openssh: OpenSshServer, files: dict[str, Path], tmp_path: Path
) -> None:
    agent.add(openssh.wrong_key)
    with pytest.raises(DestinationRefused, match="ssh-add") as caught:
        send(by_agent, files)
    assert caught.value.__context__ is None
    with pytest.raises(DestinationUnreachable, match="agent"):
        send(replace(by_agent, agent=tmp_path / "nowhere"), files)
    with pytest.raises(DestinationRefused, match="public key"):
        send(replace(by_agent, identity_file=openssh.user_key), files)


def test_the_environment_names_no_agent_for_us(
    destination: SftpDestination, agent: Agent, openssh: OpenSshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent.add(openssh.user_key)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(agent.socket))
    with pytest.raises(DestinationRefused):
        SftpTransport(replace(destination, identity_file=openssh.wrong_key))


# A bastion


@pytest.fixture
def behind(
    openssh_factory: Callable[[], OpenSshServer], destination: SftpDestination, openssh: OpenSshServer
) -> tuple[OpenSshServer, SftpDestination]:
    """A second server, which lets us through to the first one; it accepts the same key of ours."""
    bastion = openssh_factory()
    (bastion.folder / "authorized_keys").write_text(public_line(openssh.user_key) + "\n")
    where = SshServer("127.0.0.1", bastion.port, bastion.user, bastion.host_key)
    return bastion, replace(destination, bastion=where)


def test_a_delivery_goes_through_a_bastion(
    behind: tuple[OpenSshServer, SftpDestination], files: dict[str, Path], far: Path
) -> None:
    bastion, destination = behind
    send(destination, files)
    assert (far / DELIVERY / "data.age").read_bytes() == files["data.age"].read_bytes()
    bastion.stop()
    with pytest.raises(DestinationUnreachable, match=f":{bastion.port}"):
        send(destination, files)


def test_a_bastion_and_an_agent_go_together(
    behind: tuple[OpenSshServer, SftpDestination], by_agent: SftpDestination, agent: Agent, openssh: OpenSshServer,
    files: dict[str, Path],
) -> None:  # fmt: skip
    agent.add(openssh.user_key)
    send(replace(by_agent, bastion=behind[1].bastion), files)


def test_another_host_key_stops_us_at_the_bastion_or_behind_it(
    behind: tuple[OpenSshServer, SftpDestination], openssh: OpenSshServer, tmp_path: Path
) -> None:
    bastion, destination = behind
    other = public_line(make_key(tmp_path / "other"))
    wrong = SshServer("127.0.0.1", bastion.port, bastion.user, other)
    with pytest.raises(HostKeyMismatch, match=f":{bastion.port} shows"):
        SftpTransport(replace(destination, bastion=wrong))
    with pytest.raises(HostKeyMismatch, match=f":{openssh.port} shows"):
        SftpTransport(replace(destination, host_key=other))


def test_a_bastion_that_lets_nobody_through_or_finds_nobody_there(
    behind: tuple[OpenSshServer, SftpDestination], files: dict[str, Path]
) -> None:
    bastion, destination = behind
    with pytest.raises(DestinationUnreachable) as caught:
        SftpTransport(replace(destination, port=free_port()))
    assert caught.value.__context__ is None
    line = public_line(Path(str(destination.identity_file)))
    (bastion.folder / "authorized_keys").write_text(f'permitopen="127.0.0.1:1" {line}\n')
    with pytest.raises(DestinationRefused, match="does not let us through"):
        SftpTransport(destination)
    (bastion.folder / "authorized_keys").write_text("")
    with pytest.raises(DestinationRefused, match=f":{bastion.port} does not accept our key"):
        SftpTransport(destination)


def test_a_bastion_that_breaks_off_shows_nothing(
    behind: tuple[OpenSshServer, SftpDestination], files: dict[str, Path], far: Path
) -> None:
    bastion, destination = behind
    with CuttableProxy(bastion.port) as wire:
        through = SshServer("127.0.0.1", wire.port, bastion.user, bastion.host_key)
        with SftpTransport(replace(destination, bastion=through)) as transport:
            wire.cut_after(2 * MIB)
            with pytest.raises(DestinationUnreachable):
                publish(transport, files, DELIVERY, "1")
    assert not (far / DELIVERY).exists()
    send(destination, files)
    assert (far / DELIVERY / "data.age").read_bytes() == files["data.age"].read_bytes()


# Pace, and what is registered


def test_we_send_no_faster_than_was_asked(destination: SftpDestination, files: dict[str, Path]) -> None:
    began = time.monotonic()
    with SftpTransport(replace(destination, bytes_per_second=4 * MIB)) as transport:
        transport.put(files["data.age"], "slowly")
    assert time.monotonic() - began > 0.8, "five MiB, of which the last one leaves after a second at the earliest"


def test_what_was_registered_is_what_is_used(
    behind: tuple[OpenSshServer, SftpDestination], by_agent: SftpDestination, agent: Agent, openssh: OpenSshServer,
    tmp_path: Path, far: Path,
) -> None:  # fmt: skip
    bastion, _ = behind
    registry = Destinations(tmp_path / "config")
    registry.add_sftp(
        "partner",
        f"sftp://{openssh.user}@127.0.0.1:{openssh.port}{far}",
        openssh.host_key,
        by_agent.identity_file,
        agent=agent.socket,
        bastion=f"ssh://{bastion.user}@127.0.0.1:{bastion.port}",
        bastion_host_key=bastion.host_key,
        megabits=800.0,
    )
    agent.add(openssh.user_key)
    with Destinations(tmp_path / "config").open("partner", 10) as transport:
        assert list(checked(transport)) == []
    assert list(far.iterdir()) == [], "what was tried is gone"
    assert registry.list() == [("partner", f"sftp://{openssh.user}@127.0.0.1:{openssh.port}{far}")]


@pytest.mark.parametrize(
    "changes",
    [
        {"uri": "sftp://host/x"},
        {"uri": "sftp://user:password@host/x"},
        {"uri": "http://user@host/x"},
        {"uri": "sftp://user@host:99999/x"},
        {"bastion": "ssh://user@host"},
        {"bastion_host_key": "HOST_KEY"},
        {"bastion": "ssh://user@host/x", "bastion_host_key": "HOST_KEY"},
        {"bastion": "sftp://user@host", "bastion_host_key": "HOST_KEY"},
        {"bastion": "ssh://user@host", "bastion_host_key": "ssh-rsa AAAA"},
        {"host_key": "*"},
    ],
    ids=str,
)
def test_what_does_not_fit_together_is_not_registered(
    openssh: OpenSshServer, tmp_path: Path, changes: dict[str, str]
) -> None:
    told = {"uri": "sftp://user@host/x", "host_key": "HOST_KEY", "identity_file": "key"} | changes
    told = {name: value.replace("HOST_KEY", openssh.host_key) for name, value in told.items()}
    with pytest.raises(UnusableInput):
        Destinations(tmp_path).add("partner", SftpRegistration(**told))  # type: ignore[arg-type]
    assert list(tmp_path.glob("*.json")) == []
