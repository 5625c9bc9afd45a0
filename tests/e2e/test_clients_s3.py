"""Programs that recipients have fetch a delivery from a bucket on a real S3 (Ceph): whole, cut, and gone on with.

The delivery is published as the pipeline does it. The recipient has a key of its own, or a link that lasts an hour.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.ids import new_id
from tests.servers.ceph import S3Server
from tests.servers.proxy import CuttableProxy
from transports.publishing import publish
from transports.s3 import S3Transport
from transports.s3_client import S3Destination

pytestmark = pytest.mark.server

MIB = 1024 * 1024
SIZE = 8 * MIB + 12_345
CONTENT = random.Random(2).randbytes(SIZE)
DELIVERY = "GLA-1/2026-03/edition-1"
BIG = f"{DELIVERY}/people.parquet.age"
_PATIENCE = 240.0  # seconds for one program on a busy machine


@dataclass(frozen=True)
class Published:
    """A delivery in a bucket, behind the server's own port."""

    server: S3Server
    bucket: str
    link: str  # to the large file

    @property
    def port(self) -> int:
        return int(self.server.endpoint.rpartition(":")[2])


@pytest.fixture(scope="module")
def published(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Published:
    bucket, folder = f"b{new_id()}", tmp_path_factory.mktemp("delivery")
    s3.client().create_bucket(Bucket=bucket)
    for name, data in {"people.parquet.age": CONTENT, "manifest.json": b"{}"}.items():
        (folder / name).write_bytes(data)
    key = f"{s3.access_key}:{s3.secret_key}"
    with S3Transport(S3Destination(s3.endpoint, "us-east-1", bucket, "", lambda: key)) as transport:
        publish(transport, {path.name: path for path in folder.iterdir()}, DELIVERY, "1")
        return Published(s3, bucket, transport.link(BIG, 3600))


Fetch = Callable[[Published, int, Path, bool], subprocess.CompletedProcess[str]]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Without the environment of this machine, in which the settings of an S3 program may be."""
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=clean, timeout=_PATIENCE, check=False
    )


def rclone(published: Published, port: int, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = folder / "rclone.conf"
    config.write_text(
        f"[zone]\ntype = s3\nprovider = Ceph\nendpoint = http://127.0.0.1:{port}\n"
        f"access_key_id = {published.server.access_key}\nsecret_access_key = {published.server.secret_key}\n"
    )
    return run(folder, "rclone", "--config", str(config), *arguments)


def by_rclone(published: Published, port: int, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    return rclone(published, port, local.parent, "copyto", f"zone:{published.bucket}/{BIG}", str(local))


def by_s3cmd(published: Published, port: int, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    config = local.parent / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {published.server.access_key}\nsecret_key = {published.server.secret_key}\n"
        f"host_base = 127.0.0.1:{port}\nhost_bucket = 127.0.0.1:{port}\nuse_https = False\n"
    )
    flags = ["--continue"] if resume else []
    return run(local.parent, "s3cmd", "-c", str(config), *flags, "get", f"s3://{published.bucket}/{BIG}", str(local))


def by_link(published: Published, port: int, local: Path, resume: bool) -> subprocess.CompletedProcess[str]:
    """The link names the server, whose place the wire takes."""
    flags = ["-C", "-"] if resume else []
    wire = f"127.0.0.1:{published.port}:127.0.0.1:{port}"
    return run(local.parent, "curl", "-sSf", "--connect-to", wire, *flags, "-o", str(local), published.link)


# A program that goes on alone asks for what is missing in the same run; the others do so when they are started again.
CLIENTS = {"rclone": (by_rclone, True), "s3cmd": (by_s3cmd, False), "curl": (by_link, False)}


def is_right(path: Path) -> bool:
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_fetches_a_file_from_a_bucket(published, require_program, tmp_path, name):
    require_program(name)
    done = CLIENTS[name][0](published, published.port, tmp_path / "big", False)
    assert done.returncode == 0, done.stderr
    assert is_right(tmp_path / "big")


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_that_is_cut_goes_on_with_a_file_from_a_bucket(published, require_program, tmp_path, name):
    require_program(name)
    fetch, alone = CLIENTS[name]
    with CuttableProxy(published.port, every=3 * MIB) as proxy:
        cut = fetch(published, proxy.port, tmp_path / "big", False)
        answered = proxy.answered
    if alone:
        assert cut.returncode == 0, cut.stderr
        assert is_right(tmp_path / "big")
        assert answered < 2 * SIZE
        return
    assert cut.returncode != 0
    assert 0 < (tmp_path / "big").stat().st_size < SIZE
    with CuttableProxy(published.port) as proxy:
        done = fetch(published, proxy.port, tmp_path / "big", True)
        answered = proxy.answered
    assert done.returncode == 0, done.stderr
    assert is_right(tmp_path / "big")
    assert answered < SIZE


def test_s3cmd_goes_on_with_a_part_that_is_here(published, require_program, tmp_path):
    require_program("s3cmd")
    (tmp_path / "big").write_bytes(CONTENT[:MIB])
    with CuttableProxy(published.port) as proxy:
        done = by_s3cmd(published, proxy.port, tmp_path / "big", True)
        answered = proxy.answered
    assert done.returncode == 0, done.stderr
    assert is_right(tmp_path / "big")
    assert SIZE - MIB < answered < SIZE


def test_rclone_fetches_a_whole_delivery_and_compares_it(published, require_program, tmp_path):
    require_program("rclone")
    where = f"zone:{published.bucket}/GLA-1"
    assert rclone(published, published.port, tmp_path, "copy", where, "here").returncode == 0
    found = {path.name: path.read_bytes() for path in (tmp_path / "here").rglob("*") if path.is_file()}
    assert found == {"people.parquet.age": CONTENT, "manifest.json": b"{}"}
    assert rclone(published, published.port, tmp_path, "check", "--download", where, "here").returncode == 0
    (tmp_path / "here" / "2026-03" / "edition-1" / "manifest.json").write_bytes(b"[]")
    assert rclone(published, published.port, tmp_path, "check", "--download", where, "here").returncode != 0


def test_a_link_gives_its_own_file_only_and_cannot_be_changed(published, require_program, tmp_path):
    require_program("curl")
    other = published.link.replace("people.parquet.age", "manifest.json")
    for url in (
        other,
        published.link.partition("?")[0],
        published.link[:-1] + ("1" if published.link.endswith("0") else "0"),
    ):
        assert run(tmp_path, "curl", "-sSf", "-o", "x", url).returncode != 0
    assert run(tmp_path, "curl", "-sSf", "-X", "PUT", "--data", "x", published.link).returncode != 0
    assert run(tmp_path, "curl", "-sSf", "-X", "DELETE", published.link).returncode != 0
    assert by_link(published, published.port, tmp_path / "big", False).returncode == 0
    assert is_right(tmp_path / "big")
