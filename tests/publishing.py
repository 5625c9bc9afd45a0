"""Two who publish the same delivery at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from core.errors import GlaError
from transports.base import Destination
from transports.publishing import publish


def publish_twice_at_once(open_transport: Callable[[], Destination], files: Mapping[str, Path], directory: str) -> None:
    """Both are connected before either begins. One may get into the other's way, with an error of ours."""
    together = threading.Barrier(2)

    def run(token: str) -> None:
        with suppress(GlaError), open_transport() as transport:
            together.wait(30)
            publish(transport, files, directory, token)

    threads = [threading.Thread(target=run, args=(token,)) for token in "12"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
