"""The zone on OpenSSH with real chroots and users, as root.

It runs in namespaces of its own, with a private `/etc`: the machine keeps its users, two zones do not see each other's
processes, and when it is killed everything that it started goes with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from core.settings import DropzoneSettings
from tests.servers.dropzone import DropzoneWorld
from tests.servers.openssh import free_port, wait_for_port

GLA = Path(sys.executable).with_name("gla")
_NAMESPACES = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--mount-proc", "--kill-child"]
_PRIVATE = """\
umask 022
for folder in etc root; do  # the second may hold the Python that other users must be able to start there
  mkdir -p "$0/$folder/upper" "$0/$folder/work"
  mount -t overlay none -o "lowerdir=/$folder,upperdir=$0/$folder/upper,workdir=$0/$folder/work" "/$folder" || exit 1
done
exec "$@"
"""
_SERVICE = Path(__file__).parents[2] / "infra" / "openssh" / "gla-openssh.service"
_PATIENCE = 60.0  # seconds until it serves


def _capabilities() -> str:
    """What the service leaves to root, as setpriv(1) takes it."""
    [line] = [line for line in _SERVICE.read_text().splitlines() if line.startswith("CapabilityBoundingSet=")]
    names = line.partition("=")[2].lower().split()
    return ",".join(["-all", *(f"+{name.removeprefix('cap_')}" for name in names)])


def need_root() -> None:
    """Chroots and users need it; under CI a test that needs it may not be skipped."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("needs root, for chroots and Unix users")


@dataclass
class OpensshWorld(DropzoneWorld):
    """As `DropzoneWorld`, below a folder where chroots may be: everything above it is root's."""

    @classmethod
    @contextmanager
    def made(cls) -> Iterator[OpensshWorld]:
        folder = Path(tempfile.mkdtemp(prefix="gla-zone-", dir="/var/lib"))
        folder.chmod(0o755)
        try:
            world = cls.make(folder)
            world.keys.chmod(0o700)
            yield world
        finally:
            shutil.rmtree(folder)

    @property
    def folder(self) -> Path:
        return self.root.parent

    @property
    def chroots(self) -> Path:
        return self.folder / "chroots"

    @property
    def log(self) -> str:
        return (self.folder / "zone.log").read_text(errors="replace")

    @contextmanager
    def running(self, settings: DropzoneSettings | None = None) -> Iterator[psutil.Process]:
        with self.started() as zone:
            yield zone
            zone.send_signal(signal.SIGTERM)
            zone.wait(timeout=_PATIENCE)

    @contextmanager
    def started(self) -> Iterator[psutil.Process]:
        """`gla dropzone openssh` as an operator starts it; killed in the end, if it still runs."""
        self.port = self.port or free_port()
        environment = {
            **os.environ,
            "GLA_HOME": str(self.folder),
            "GLA_LOG_LEVEL": "INFO",
            "GLA_DROPZONE__PORT": str(self.port),
            "GLA_OPENSSH__CHROOTS": str(self.chroots),
        }
        if (self.keys / "host").exists():  # otherwise it has one of its own
            environment["GLA_KEYS__DROPZONE_HOST"] = f"file:{self.keys / 'host'}"
        confined = ["setpriv", "--no-new-privs", f"--bounding-set={_capabilities()}"]
        layers = str(self.folder / "layers")
        command = [*_NAMESPACES, "sh", "-c", _PRIVATE, layers, *confined, str(GLA), "dropzone", "openssh"]
        with (self.folder / "zone.log").open("ab") as log:
            outer = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            wait_for_port(self.port, _PATIENCE)
            [zone] = psutil.Process(outer.pid).children()
            yield zone
        finally:
            everything = psutil.Process(outer.pid).children(recursive=True)
            for process in everything[:1]:  # it takes the others along
                process.kill()
            outer.wait()
            assert not psutil.wait_procs(everything, _PATIENCE)[1], "its port is not free yet"
