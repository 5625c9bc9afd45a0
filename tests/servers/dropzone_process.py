"""What `tests.servers.dropzone` starts in a process of its own; imports nothing that the product would not."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path

from apps.dropzone.server import serve
from core.logging import configure_logging
from core.settings import DropzoneSettings


def serve_zone(root: Path, host_key: Path, settings: DropzoneSettings, log: Path, told: Connection) -> None:
    """Serve as `gla dropzone serve` does; `told` gets the port. The log is a file, of all its processes."""
    _end_with_the_tests()
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(file, 2)
    configure_logging("INFO")

    def ready(port: int) -> None:
        told.send(port)
        told.close()

    serve(root, host_key, settings, ready)


def _end_with_the_tests() -> None:
    """When their process is killed a pipe of it ends, which ends us by SIGIO: nothing is left that listens."""
    tests = multiprocessing.parent_process()
    assert tests is not None
    fcntl.fcntl(tests.sentinel, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(tests.sentinel, fcntl.F_SETFL, fcntl.fcntl(tests.sentinel, fcntl.F_GETFL) | os.O_ASYNC)
