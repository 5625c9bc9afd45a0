"""Calls that run on one other thread while their results come back in order, with a bounded number under way.

Encryption leaves Python's lock free, so that a file is sealed on one core while it is read and written on another.
A second such thread did not help when measured: reading and writing cost more than the encryption.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")
UNDER_WAY = 4  # calls; each holds one batch, so this bounds the memory


class Pipeline(Generic[T]):
    """For one thread's use. `stop` must be called at the end; results that were not taken are lost then."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="envelope")
        self._pending: deque[Future[T]] = deque()

    @property
    def full(self) -> bool:
        return len(self._pending) >= UNDER_WAY

    @property
    def empty(self) -> bool:
        return not self._pending

    def submit(self, call: Callable[[], T]) -> None:
        self._pending.append(self._executor.submit(call))

    def take(self) -> T:
        """Wait for the oldest result, or raise what its call raised."""
        return self._pending.popleft().result()

    def stop(self) -> None:
        self._pending.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)
