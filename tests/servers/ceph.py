"""A real S3 for the tests: a Ceph cluster of one node that lives in memory, and its RADOS gateway."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from core.ids import new_id

_PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph", "ceph-authtool", "monmaptool")
_MEMORY = 4 * 1024**3  # bytes that the cluster can hold, and takes as they come; when it is full it hangs
KMS_KEY = "testkey-1"  # with which it encrypts what it is asked to
_PATIENCE = 120.0  # seconds until it serves; an idle machine needs three


@dataclass(frozen=True)
class S3Server:
    """Where it listens, and the key of a user who may make buckets there."""

    endpoint: str
    access_key: str
    secret_key: str
    admin: Callable[..., str]  # runs radosgw-admin
    log: Path  # of the gateway

    def client(self) -> Any:
        """One of boto3's, for what a test does behind our back."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, region_name="us-east-1",
        )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Cluster:
    """A monitor, one store in memory, and a gateway, each a process of ours; what a manager measures nobody asks."""

    def __init__(self, folder: Path, find: Callable[[str], str], memory: int = _MEMORY) -> None:
        self._folder, self._find, self._memory = folder, find, memory
        self._conf, self._keyring = folder / "ceph.conf", folder / "keyring"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = free_port()

    def start(self) -> S3Server:
        self._configure()
        self._start_monitor()
        for name in ("mon_allow_pool_size_one", "mon_warn_on_pool_no_redundancy"):
            self._ceph("config", "set", "global", name, "true")
        (self._folder / "osd/ceph-0").mkdir(parents=True)
        self._start_store()
        self._daemon("radosgw", "-n", "client.rgw")
        self._wait_until_serving()
        access, secret = new_id()[:20], new_id()
        self._run("radosgw-admin", "user", "create", "--uid=tester", "--display-name=tester",
                  f"--access-key={access}", f"--secret-key={secret}")  # fmt: skip
        return S3Server(f"http://127.0.0.1:{self.port}", access, secret, partial(self._run, "radosgw-admin"),
                        self._folder / "log" / "client.rgw.log")  # fmt: skip

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _configure(self) -> None:
        first, second = free_port(), free_port()
        self._address = f"[v2:127.0.0.1:{first},v1:127.0.0.1:{second}]"
        self._fsid, folder = "00000000-0000-4000-8000-000000000001", self._folder
        self._conf.write_text(
            f"""[global]
fsid = {self._fsid}
mon host = {self._address}
run dir = {folder}/run
log file = {folder}/log/$name.log
admin socket = {folder}/run/$name.asok
pid file = {folder}/run/$name.pid
keyring = {self._keyring}
mon data = {folder}/mon/ceph-$id
osd data = {folder}/osd/ceph-$id
osd objectstore = memstore
memstore device bytes = {self._memory}
paxos propose interval = 0.05
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon max pg per osd = 1000
mon allow pool size one = true
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{self.port}
rgw data = {folder}/rgw
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = {KMS_KEY}={base64.b64encode(os.urandom(32)).decode()}
"""
        )
        for name in ("run", "log", "mon", "rgw"):
            (folder / name).mkdir()
        allowed = {
            "mon.": ["mon", "allow *"],
            "client.admin": ["mon", "allow *", "osd", "allow *"],
            "osd.0": ["mon", "allow profile osd", "osd", "allow *"],
            "client.rgw": ["mon", "allow rw", "osd", "allow rwx"],
        }
        for number, (name, words) in enumerate(allowed.items()):
            caps = [part for word, may in zip(words[::2], words[1::2], strict=True) for part in ("--cap", word, may)]
            create = ["--create-keyring"] if number == 0 else []
            self._program("ceph-authtool", *create, str(self._keyring), "--gen-key", "-n", name, *caps)

    def _start_monitor(self) -> None:
        map_file = str(self._folder / "monmap")
        self._program("monmaptool", "--create", "--fsid", self._fsid, "--addv", "x", self._address, map_file)
        self._run("ceph-mon", "--mkfs", "-i", "x", "--monmap", map_file, "--keyring", str(self._keyring))
        self._daemon("ceph-mon", "-i", "x", "--public-addrv", self._address)
        self._ceph("auth", "import", "-i", str(self._keyring))

    def _start_store(self) -> None:
        identity = "00000000-0000-4000-8000-000000000002"
        self._ceph("osd", "new", identity, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        self._daemon("ceph-osd", "-i", "0")
        end = time.monotonic() + _PATIENCE
        while json.loads(self._ceph("osd", "stat", "-f", "json"))["num_up_osds"] < 1:
            assert time.monotonic() < end, "the store did not come up"
            time.sleep(0.5)

    def _wait_until_serving(self) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}", timeout=5).close()
                return
            assert time.monotonic() < end, "the gateway does not serve"
            time.sleep(0.5)

    def _program(self, name: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._find(name), *arguments], check=True, capture_output=True, text=True, timeout=_PATIENCE
        )
        return done.stdout

    def _run(self, name: str, *arguments: str) -> str:
        return self._program(name, "-c", str(self._conf), *arguments)

    def _ceph(self, *arguments: str) -> str:
        return self._run("ceph", "--keyring", str(self._keyring), *arguments)

    def _daemon(self, name: str, *arguments: str) -> None:
        with (self._folder / f"{name}.out").open("wb") as out:
            command = [self._find(name), "-c", str(self._conf), "-f", *arguments]
            self._processes.append(subprocess.Popen(command, stdout=out, stderr=out, env=dict(os.environ)))


@pytest.fixture(scope="session")
def s3(require_program: Callable[[str], str]) -> Iterator[S3Server]:
    for name in _PROGRAMS:
        require_program(name)
    folder = Path(tempfile.mkdtemp(prefix="gla-s3-"))
    cluster = Cluster(folder, require_program)
    try:
        yield cluster.start()
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
