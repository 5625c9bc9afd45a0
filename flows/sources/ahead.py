"""Read ahead in a thread, and give up on what answers no more: a lease is kept only as long as something comes.

A thread that waits inside a library cannot be stopped. It is told to, and left behind if it does not hear; what it
waits for ends by the limits that the other side has.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")

_QUEUED = 2  # items that wait while one is used: enough to overlap, small enough to bound memory
_LINGER_SECONDS = 2.0  # for a thread that was told to stop
_POLL_SECONDS = 0.1


class Silent(Exception):
    """Nothing came for as long as one waits at most."""


class _End:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Generator[T], idle_seconds: float, interrupt: Callable[[], None]) -> Generator[T]:
    """The same items, made in another thread. Raises `Silent` if none comes for `idle_seconds`.

    `interrupt` ends what `items` may be waiting for; it is called, in a thread of its own since it may wait as well,
    when nothing comes any more or when the caller stops early.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(_QUEUED)
    stopped = threading.Event()

    def put(item: T | _End) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=_POLL_SECONDS)
                return

    def run() -> None:
        end: BaseException | None = None
        try:
            with contextlib.closing(items):
                for item in items:
                    put(item)
                    if stopped.is_set():
                        break
        except BaseException as error:  # noqa: BLE001 - handed over, to be raised where the items are read
            end = error
        put(_End(end))

    thread = threading.Thread(target=run, name="source", daemon=True)
    thread.start()
    try:
        while not isinstance(item := _next(waiting, idle_seconds), _End):
            yield item
        thread.join()
        if item.error is not None:
            raise item.error
    finally:
        stopped.set()
        if thread.is_alive():
            threading.Thread(target=_quietly, args=(interrupt,), name="interrupt", daemon=True).start()
            thread.join(_LINGER_SECONDS)


def _quietly(interrupt: Callable[[], None]) -> None:
    with contextlib.suppress(Exception):  # what it would interrupt has just ended, or is past help
        interrupt()


def _next(waiting: queue.Queue[T | _End], idle_seconds: float) -> T | _End:
    try:
        return waiting.get(timeout=idle_seconds)
    except queue.Empty:
        pass
    raise Silent
