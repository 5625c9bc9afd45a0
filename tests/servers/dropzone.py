"""Our drop zone with two recipients, in processes of its own, and OpenSSH's client to reach it."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import paramiko

from core.settings import DropzoneSettings
from schemas.accounts import Account, Accounts, Pickup
from tests.servers.dropzone_process import serve_zone
from tests.servers.openssh import make_key, public_line

DELIVERY = "GLA-1/2026-03/edition-1"
RECIPIENTS = ("fonds", "other")

_PROCESSES = multiprocessing.get_context("forkserver")  # which has imported it, and has no threads
_PROCESSES.set_forkserver_preload(["tests.servers.dropzone_process"])


class Dropzone:
    """A running server over `root`, until the end of the `with` block. `log` is what it wrote."""

    def __init__(self, root: Path, host_key: Path, settings: DropzoneSettings) -> None:
        self._log = root.parent / f"{root.name}.log"
        self._told, told = _PROCESSES.Pipe(duplex=False)
        self._process = _PROCESSES.Process(target=serve_zone, args=(root, host_key, settings, self._log, told))
        self._process.start()
        told.close()
        self.port: int = self._told.recv()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def log(self) -> list[str]:
        """What it logged, a line each, without the time."""
        return [line.partition(" ")[2] for line in self._log.read_text().splitlines()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal, wait until it ended, and return the exit code."""
        if self._process.is_alive():
            os.kill(self.pid, number)
        self._process.join(120)
        assert self._process.exitcode is not None, "the drop zone does not stop"
        return self._process.exitcode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        while self._process.is_alive():  # twice: what is under way does not finish first
            os.kill(self.pid, signal.SIGTERM)
            self._process.join(0.1)


@functools.cache
def _keys() -> dict[str, dict[str, bytes]]:
    """A private and a public key of each, made once."""
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in [*RECIPIENTS, "stranger", "host"]:
            path = make_key(Path(folder) / name)
            made[name] = {"": path.read_bytes(), ".pub": path.with_name(f"{name}.pub").read_bytes()}
    return made


@dataclass
class DropzoneWorld:
    """`root` is the drop zone's folder; each recipient has a key of its own name."""

    root: Path
    keys: Path
    port: int = 0
    keys_of: dict[str, list[str]] = field(default_factory=dict)
    revoked_of: dict[str, tuple[str, ...]] = field(default_factory=dict)  # agreements

    @classmethod
    def make(cls, folder: Path) -> DropzoneWorld:
        world = cls(folder / "dropzone", folder / "keys")
        world.root.mkdir()
        world.keys.mkdir()
        for name, files in _keys().items():
            for suffix, content in files.items():
                (world.keys / f"{name}{suffix}").write_bytes(content)
                (world.keys / f"{name}{suffix}").chmod(0o600)
        for name in RECIPIENTS:
            world.keys_of[name] = [public_line(world.keys / name)]
            world.put(name, f"{DELIVERY}/data.parquet.age", name.encode() * 100_000)
            world.put(name, f"{DELIVERY}/manifest.json", b'{"for":"%s"}' % name.encode())
        world.write_accounts()
        return world

    def put(self, recipient: str, path: str, data: bytes) -> Path:
        target = self.root / "deliveries" / recipient / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def write_accounts(self) -> None:
        accounts = Accounts(
            accounts=tuple(
                Account(name=name, keys=tuple(keys), revoked=self.revoked_of.get(name, ()))
                for name, keys in self.keys_of.items()
            )
        )
        new = self.root / ".accounts.new"
        new.write_bytes(accounts.to_bytes())
        new.replace(self.root / "accounts.json")

    @contextmanager
    def running(self, settings: DropzoneSettings | None = None) -> Iterator[Dropzone]:
        settings = settings or DropzoneSettings(
            port=0, login_seconds=60, connections_per_minute=6000, login_failures=1000, upload_reserve_bytes=0
        )
        with Dropzone(self.root, self.keys / "host", settings) as zone:
            self.port = zone.port
            yield zone

    def sftp(
        self, *commands: str, user: str = "fonds", key: str | None = None, options: tuple[str, ...] = (), cwd: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run OpenSSH's `sftp` in the folder `cwd` with the commands as its batch; it stops at the first that fails."""
        known = (
            self.keys / f"known_hosts-{threading.get_ident()}"
        )  # one each: a shared one is empty while it is rewritten
        known.write_text(f"[127.0.0.1]:{self.port} {public_line(self.keys / 'host')}\n")
        settings = [f"UserKnownHostsFile={known}", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", *options]
        flags = [flag for setting in settings for flag in ("-o", setting)]
        identity = str(self.keys / (key or user))
        return subprocess.run(
            ["sftp", "-F", "none", *flags, "-i", identity, "-P", str(self.port), "-b", "-", f"{user}@127.0.0.1"],
            input="".join(f"{command}\n" for command in commands),
            capture_output=True,
            text=True,
            cwd=cwd,
            timeout=120,
            check=False,
        )

    @contextmanager
    def client(self, user: str = "fonds", key: str | None = None) -> Iterator[paramiko.SFTPClient]:
        """paramiko's client, which sends what OpenSSH's would not."""
        with paramiko.Transport(("127.0.0.1", self.port)) as transport:
            transport.connect(username=user, pkey=paramiko.PKey.from_path(self.keys / (key or user)))
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            yield client  # the transport closes it, also when the server is gone

    def pickups(self) -> list[Pickup]:
        """What is in the finished spool files, in the order in which it ended."""
        lines = [line for path in (self.root / "spool").glob("*.jsonl") for line in path.read_bytes().splitlines()]
        return sorted(map(Pickup.from_bytes, lines), key=lambda pickup: pickup.ended)
