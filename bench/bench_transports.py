"""What it takes to put 1 GB at a destination, against what a user would type: OpenSSH's `sftp`, and boto3.

Source and servers are in memory where there is room (`/dev/shm`), so that the processors are compared and not the disk.
Ours counts the digest, and for SFTP the `fsync`; reading back, which the others do not do, is left out on both sides.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import putting
import run
from bench_deliver import sftp_put

from core.ids import new_id
from tests.servers.ceph import Cluster
from tests.servers.openssh import start_openssh

SIZE = int(os.environ.get("GLA_BENCH_PUT_BYTES", "1000000000"))
_ROOM = 8 * 1024**3  # bytes that are needed in memory
_SHARED = Path("/dev/shm")
_SBIN = "/usr/sbin:/sbin"


@contextmanager
def in_memory(work: Path) -> Iterator[Path]:
    """A folder in memory, or on the disk where there is no room."""
    if not _SHARED.is_dir() or shutil.disk_usage(_SHARED).free < _ROOM:
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="gla-bench-", dir=_SHARED) as folder:
        yield Path(folder)


def timed(*words: str) -> tuple[float, float]:
    """Seconds as `putting.py` tells; memory is not measured."""
    command = [sys.executable, str(run.ROOT / "bench" / "putting.py"), *words]
    environment = run.ENVIRONMENT | {"PYTHONPATH": str(run.ROOT)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout), 0.0


def sftp(folder: Path, source: Path) -> tuple[dict[str, float], dict[str, float]]:
    """To a real sshd: against OpenSSH's client as it is, and with the cipher that we use."""
    home = folder / "sshd"
    home.mkdir()
    server = start_openssh("/usr/sbin/sshd", home)
    words = [str(server.port), server.user, str(server.root), server.host_key, str(server.user_key), str(source)]

    def ours(_number: int) -> tuple[float, float]:
        measured = timed("sftp", *words)
        (server.root / putting.NAME).unlink()
        return measured

    def theirs(more: str) -> Callable[[int], tuple[float, float]]:
        line = sftp_put(server, source).replace("sftp -q", f"sftp -q {more}")

        def once(_number: int) -> tuple[float, float]:
            started = time.perf_counter()
            subprocess.run(["bash", "-c", line], check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - started
            (server.root / source.name).unlink()
            return seconds, 0.0

        return once

    try:
        plain = run.pairs(ours, theirs(""), run.PAIRS)
        return plain, run.pairs(ours, theirs("-oCiphers=aes256-gcm@openssh.com"), run.PAIRS)
    finally:
        server.stop()


def s3(folder: Path, source: Path) -> dict[str, float]:
    """To a real Ceph, in memory."""

    def find(name: str) -> str:
        return shutil.which(name) or shutil.which(name, path=_SBIN) or name

    home = Path(tempfile.mkdtemp(prefix="s3-", dir=folder))
    cluster = Cluster(home, find, memory=4 * 1024**3)
    try:
        server = cluster.start()
        client, bucket = server.client(), f"b{new_id()}"
        client.create_bucket(Bucket=bucket)

        def put(how: str) -> Callable[[int], tuple[float, float]]:
            def once(_number: int) -> tuple[float, float]:
                measured = timed(how, server.endpoint, bucket, f"{server.access_key}:{server.secret_key}", str(source))
                client.delete_object(Bucket=bucket, Key=putting.NAME)
                server.admin("gc", "process", "--include-all")
                return measured

            return once

        return run.pairs(put("s3"), put("upload_file"), run.PAIRS)
    finally:
        cluster.stop()


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    with in_memory(work) as folder:
        source = folder / "source"
        with source.open("wb") as file:
            for _ in range(100):
                file.write(os.urandom(SIZE // 100))
        pushed, same_cipher = sftp(folder, source)
        stored = s3(folder, source)
    return {
        "sftp_put_vs_openssh": 1 / pushed["ratio"],
        "sftp_put_mb_per_s": SIZE / 1e6 / pushed["ours"],
        "openssh_put_mb_per_s": SIZE / 1e6 / pushed["theirs"],
        "sftp_put_vs_openssh_gcm": 1 / same_cipher["ratio"],
        "s3_put_vs_boto3": 1 / stored["ratio"],
        "s3_put_mb_per_s": SIZE / 1e6 / stored["ours"],
        "boto3_put_mb_per_s": SIZE / 1e6 / stored["theirs"],
    }
