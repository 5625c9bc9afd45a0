"""The rows of a delivery as sealed files: one, or parts of the agreed size.

A part of a number of rows is written, encrypted and staged in a thread of its own, beside the next ones; a part of a
number of bytes ends where it is full, so those come one after another. Whoever reads also encodes, so that a single
part takes two threads. The same rows give the same parts. Memory is bounded: each thread has a short queue, and whoever
reads waits for room in it.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import polars as pl

from schemas.manifest import ManifestFile, PakbonFile

_WAITING = 1  # batches between validation and writing: enough to overlap, small enough to bound memory
_SECONDS = 0.05  # between two looks at a thread that is to stop
_MOST_THREADS = 4  # each holds what its writer buffers


@dataclass(frozen=True)
class Part:
    """One file of the delivery, as the pakbon and the manifest tell of it."""

    plain: PakbonFile
    sealed: ManifestFile


T = TypeVar("T")
Stage = Callable[[int, Iterator[T]], list[Part]]
Tell = Callable[[int], None]  # how many rows were handed over


class _Stopped(Exception):
    """Raised where a part would read its next batch, when it is to be abandoned."""


class _Writing(threading.Thread, Generic[T]):
    """Stages one part from what `put` hands over; `ended` gives what came of it, or raises."""

    def __init__(self, number: int, stage: Stage[T]) -> None:
        super().__init__(name=f"part {number}")
        self._waiting: queue.Queue[T | None] = queue.Queue(_WAITING)
        self._number, self._stage = number, stage
        self._stopped = self._read_to_end = False
        self._parts: list[Part] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._parts = self._stage(self._number, self._items())
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that can act on it
            self._error = error
        for _ in self._rest():  # whoever puts must not wait for ever
            continue

    def put(self, item: T) -> None:
        if self._error is not None:
            raise self._error
        self._waiting.put(item)

    def end(self) -> None:
        """There is no more to put."""
        self._waiting.put(None)

    def ended(self) -> list[Part]:
        self.join()
        if self._error is not None:
            raise self._error
        return self._parts

    def stop(self) -> None:
        self._stopped = True
        while self.is_alive():  # whether it was told of its end or not
            with suppress(queue.Full):
                self._waiting.put(None, timeout=_SECONDS)
            self.join(_SECONDS)

    def _items(self) -> Iterator[T]:
        for item in self._rest():
            if self._stopped:
                break
            yield item
        if self._stopped:
            raise _Stopped

    def _rest(self) -> Iterator[T]:
        while not self._read_to_end:
            item = self._waiting.get()
            self._read_to_end = item is None
            if item is not None:
                yield item


def staged_parts(
    frames: Iterable[pl.DataFrame], rows: int | None, encode: Callable[[pl.DataFrame], T], stage: Stage[T], tell: Tell
) -> list[Part]:
    """Hand `frames`, each encoded here, over to `stage`, in parts of `rows` rows or as one; what it gives, in order.

    Without any row there is one part, without frames. An error in any part, or in `frames`, stops all of them.
    """
    at_once = min(os.cpu_count() or 1, _MOST_THREADS)
    writing: list[_Writing[T]] = []
    parts: list[Part] = []
    begun = total = 0
    try:
        for number, frame in _numbered(frames, rows):
            if number > begun:
                if writing:
                    writing[-1].end()
                if len(writing) == at_once:
                    parts += writing.pop(0).ended()
                writing.append(_Writing(number, stage))
                begun = number
            writing[-1].put(encode(frame))
            total += frame.height
            tell(total)
        if not begun:
            writing.append(_Writing(1, stage))
        writing[-1].end()
        while writing:
            parts += writing.pop(0).ended()
        return parts
    finally:
        for each in writing:
            each.stop()


def _numbered(frames: Iterable[pl.DataFrame], rows: int | None) -> Iterator[tuple[int, pl.DataFrame]]:
    """The frames, cut where a part is full, each with the number of its part; parts are numbered from 1."""
    number, room = 1, rows
    for frame in frames:
        rest = frame
        while rows is not None and room is not None and rest.height > room:
            if room:
                yield number, rest.head(room)
            rest, number, room = rest.slice(room), number + 1, rows
        if rest.height:
            yield number, rest
        room = None if room is None else room - rest.height
