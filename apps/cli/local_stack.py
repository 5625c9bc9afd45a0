"""Start what a delivery needs on one machine: a Prefect server, a worker and the drop zone, as child processes.

Everything that they write is below GLA_HOME. A server is started only when PREFECT_API_URL names none. Telemetry
is off. On leaving the context everything that was started is stopped; SIGTERM and SIGHUP leave it too. One home has
one stack: a second one would be another worker and drop zone on the same files.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from core.errors import DestinationUnreachable, UnusableInput
from core.settings import Settings

POOL = "gla"
_START_SECONDS = 90  # a Prefect server makes its database on the first start: 25 s on two busy cores
_STOP_SECONDS = 10
_POLL_SECONDS = 0.2


class LocalStack:
    """Start parts one by one inside `with`; `api_url`, `ui_url` and `dropzone_port` then say where they are."""

    def __init__(self, settings: Settings, prefect_file: Path, prefect_port: int = 0) -> None:
        self._settings = settings
        self._prefect_file = prefect_file
        self._prefect_port = prefect_port
        self._running = ExitStack()
        self.api_url = settings.prefect_api_url or ""
        self.dropzone_port = settings.dropzone.port

    @property
    def ui_url(self) -> str:
        return self.api_url.removesuffix("/api")

    @property
    def environment(self) -> dict[str, str]:
        """For children: our home, Prefect's home below it, no telemetry."""
        return {
            **os.environ,
            "GLA_HOME": str(self._settings.home.resolve()),
            "PREFECT_HOME": str(self._settings.prefect_dir.resolve()),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_CLI_WIDE": "false",
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        }

    def begin_server(self) -> None:
        """Start a Prefect server unless one is configured; it takes a while, see `wait_for_server`."""
        if not self._settings.prefect_api_url:
            port = free_port(self._prefect_port)
            self.api_url = f"http://127.0.0.1:{port}/api"
            self._start(
                "prefect-server", "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)
            )

    def wait_for_server(self) -> None:
        self._wait_for("the Prefect server", self._server_answers)

    def deploy(self) -> None:
        """Apply `infra/prefect.yaml`; doing it again changes nothing."""
        log = self._log("prefect-deploy")
        done = subprocess.run(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-m", "apps.cli.main", "ops", "deploy", "--file", str(self._prefect_file)],
            env=self.environment,
            stdout=log,
            stderr=log,
            check=False,
        )
        if done.returncode != 0:
            raise DestinationUnreachable(f"the deployments were not applied: see {log.name}")

    def start_worker(self) -> None:
        self._start("prefect-worker", "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process")

    def start_dropzone(self) -> None:
        """Start our SFTP server; returns when it accepts connections."""
        self.dropzone_port = free_port(self._settings.dropzone.port)
        self._start("dropzone", "-m", "apps.cli.main", "dropzone", "serve", "--port", str(self.dropzone_port))
        self._wait_for("the drop zone", self._dropzone_answers)

    def __enter__(self) -> Self:
        self._settings.logs_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._running.enter_context(_only_one(self._settings.logs_dir / "stack.lock"))
        self._running.enter_context(_ended_by_signals())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._running.close()

    def _log(self, name: str) -> IO[bytes]:
        return self._running.enter_context((self._settings.logs_dir / f"{name}.log").open("ab"))

    def _start(self, name: str, *arguments: str) -> None:
        log = self._log(name)
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            [sys.executable, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self._running.callback(_stop, child)

    def _wait_for(self, what: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            if time.monotonic() > deadline:
                raise DestinationUnreachable(f"{what} does not answer: see {self._settings.logs_dir}")
            time.sleep(_POLL_SECONDS)

    def _server_answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api_url}/health", timeout=2) as answer:  # noqa: S310 - our own server
                return bool(answer.status == 200)
        except OSError:
            return False

    def _dropzone_answers(self) -> bool:
        try:
            with socket.create_connection((self._settings.dropzone.host, self.dropzone_port), timeout=2):
                return True
        except OSError:
            return False


def free_port(wanted: int = 0) -> int:
    """`wanted` if it is free on the loopback interface, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DestinationUnreachable("no free port on 127.0.0.1")


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; the system frees it when this process ends, however it ends."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        if not free:
            raise UnusableInput("everything is running already for this GLA_HOME: stop that first, or name another")
        yield


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit: by default they would end us and leave our children running."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers there only
        yield
        return

    def end(number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_IGN)  # once is enough, stopping must not be interrupted
        sys.exit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ask the child and its children to stop, then make them."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            return
        try:
            child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
