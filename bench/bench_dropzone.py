"""Pulls of 1 GB from our drop zone against OpenSSH's sshd: the same client, cipher, file system and cores.

The clients write to memory (`/dev/shm`), so that the disk is not what is measured; the file is in the page cache.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import run

from core.settings import Settings
from keys.private.custody import Role, open_custody
from schemas.accounts import Account, Accounts
from tests.servers.openssh import free_port, make_key, public_line, start_openssh, wait_for_port

BYTES = int(os.environ.get("GLA_BENCH_BYTES", str(10**9)))
TOGETHER = 4
CIPHER = "aes256-gcm@openssh.com"  # the first that both offer; with its own first choice sshd is slower
NAME = "data.parquet.age"


@dataclass(frozen=True)
class Server:
    """Where to log in and what to get."""

    user: str
    port: int
    host_key: str
    identity: Path
    path: str
    original: Path

    def pull(self, work: Path, together: int) -> tuple[float, float]:
        """Wall seconds until the last of `together` clients is done; the second figure is not measured."""
        with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="gla-bench-") as folder:
            targets = [Path(folder) / str(number) for number in range(together)]
            began = time.perf_counter()
            clients = [
                subprocess.Popen([*self._client(work), str(target)], env=run.ENVIRONMENT, stdout=subprocess.DEVNULL)
                for target in targets
            ]
            codes = [client.wait() for client in clients]
            seconds = time.perf_counter() - began
            if any(codes):
                raise SystemExit("sftp failed")
            subprocess.run(["cmp", str(targets[-1]), str(self.original)], check=True)
        return seconds, 0.0

    def _client(self, work: Path) -> list[str]:
        known = work / "known_hosts"
        known.write_text(f"[127.0.0.1]:{self.port} {self.host_key}\n")
        options = (
            f"UserKnownHostsFile={known}", f"IdentityFile={self.identity}", "IdentitiesOnly=yes", f"Ciphers={CIPHER}",
        )  # fmt: skip
        flags = [flag for option in options for flag in ("-o", option)]
        return ["sftp", "-q", "-F", "none", *flags, "-P", str(self.port), f"{self.user}@127.0.0.1:{self.path}"]


def _cpu_seconds(server: int) -> float:
    """Of all its processes for connections, which by now are over."""
    while psutil.Process(server).children():
        time.sleep(0.1)
    times = psutil.Process(server).cpu_times()
    return times.children_user + times.children_system


def measure(work: Path) -> dict[str, float]:
    """The keys of this benchmark, see bench/keys.json."""
    home, port = work / "home", free_port()
    settings = Settings(home=home)
    file = settings.dropzone_dir / "deliveries" / "bench" / "GLA-BENCH" / "2026-01" / "edition-1" / NAME
    file.parent.mkdir(parents=True)
    with file.open("wb") as target:
        for _ in range(BYTES // 10**6):
            target.write(os.urandom(10**6))
    key = make_key(work / "bench")
    account = Account(name="bench", keys=(public_line(key),))
    (settings.dropzone_dir / "accounts.json").write_bytes(Accounts(accounts=(account,)).to_bytes())
    custody = open_custody(settings)
    custody.create(Role.DROPZONE_HOST)
    host_key = custody.public_key(Role.DROPZONE_HOST).line

    (work / "sshd").mkdir()
    sshd = start_openssh("/usr/sbin/sshd", work / "sshd")
    command = [sys.executable, "-m", "apps.cli.main", "dropzone", "serve", "--port", str(port)]
    environment = {**run.ENVIRONMENT, "GLA_HOME": str(home)}
    zone = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for_port(port, 30)
        shutil.copy(file, sshd.root / NAME)
        ours = Server("bench", port, host_key, key, f"/deliveries/GLA-BENCH/2026-01/edition-1/{NAME}", file)
        theirs = Server(sshd.user, sshd.port, sshd.host_key, sshd.user_key, str(sshd.root / NAME), file)
        four = run.pairs(lambda _: ours.pull(work, TOGETHER), lambda _: theirs.pull(work, TOGETHER))
        one = run.pairs(lambda _: ours.pull(work, 1), lambda _: theirs.pull(work, 1))
        cpu, other_cpu = _cpu_seconds(zone.pid), _cpu_seconds(sshd.pid)
    finally:
        zone.terminate()
        zone.wait()
        sshd.stop()
    return {
        "dropzone_cpu_vs_sshd": cpu / other_cpu,
        "dropzone_vs_sshd": 1 / four["ratio"],
        "dropzone_one_vs_sshd": 1 / one["ratio"],
        "dropzone_mb_per_s": TOGETHER * BYTES / 1e6 / four["ours"],
        "dropzone_one_mb_per_s": BYTES / 1e6 / one["ours"],
    }
