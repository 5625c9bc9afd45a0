"""Let the next batch be read and validated while the last one is written: one thread, a short queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")

_WAITING = 2  # batches between validation and writing: enough to overlap, small enough to bound memory


def consume_in_thread(items: Iterator[T], write: Callable[[T], None]) -> Iterator[T]:
    """Yield each item after handing it to `write` in another thread. When the iteration ends, all were written.

    An error of `write` is raised here at the next item; an error of `items` stops the thread without writing more.
    """
    waiting: queue.Queue[T | None] = queue.Queue(_WAITING)
    failed: list[BaseException] = []

    def work() -> None:
        while (item := waiting.get()) is not None:
            if not failed:
                try:
                    write(item)
                except BaseException as error:  # noqa: BLE001 - it is raised in the thread that can act on it
                    failed.append(error)

    thread = threading.Thread(target=work, name="write")
    thread.start()
    try:
        for item in items:
            if failed:
                break
            waiting.put(item)
            yield item
    finally:
        waiting.put(None)
        thread.join()
    if failed:
        raise failed[0]
