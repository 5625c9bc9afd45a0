"""A file passed through a cipher by two threads that read in turn, work at the same time and write in turn.

Each thread carries a batch from the source to the target, so that it stays in the cache of one core, and copying (most
of the work) is done on both. The order of the batches is kept: one may be written only after all before it.
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence

from keys.envelope.reading import BinaryReader
from keys.envelope.stream import Batch

RELAY_CHUNKS = 8  # a batch: 512 KiB in each form; with fewer chunks more time went to taking turns, more gained nothing
THREADS = 2  # reading and writing are serial: a third thread would only wait


def threads_for(*ends: object) -> int:
    """Two between regular files; one where an end may block (pipe, terminal), so that an interrupt is never held up."""
    return THREADS if all(map(_is_regular, ends)) else 1


def _is_regular(end: object) -> bool:
    try:
        return stat.S_ISREG(os.fstat(end.fileno()).st_mode)  # type: ignore[attr-defined]
    except (AttributeError, OSError):  # not a file at all
        return False


class Ahead:
    """Fills buffers from `source` and knows which is the last, since it has read one byte more."""

    def __init__(self, source: BinaryReader) -> None:
        self._source = source
        self._byte = b""

    def fill(self, room: memoryview) -> tuple[int, bool]:
        """How much was filled of all but the last byte of `room`, and whether the source ends there."""
        have = len(self._byte)
        room[:have] = self._byte
        while have < len(room) and (count := self._source.readinto(room[have:])):
            have += count
        if have < len(room):
            return have, True
        self._byte = bytes(room[-1:])
        return have - 1, False


class Relay:
    """`read` fills a batch and says whether it is the last; `work` is told so too; `write` sees them in order."""

    def __init__(
        self,
        read: Callable[[Batch], bool],
        work: Callable[[Batch, bool], object],
        write: Callable[[Batch], None],
    ) -> None:
        self._read, self._work, self._write = read, work, write
        self._reading = threading.Lock()
        self._writing = threading.Condition()
        self._read_batches = 0
        self._written_batches = 0
        self._at_end = False
        self._error: BaseException | None = None

    def run(self, threads: int) -> None:
        """Until the last batch is written; raises the first error of any thread, and by then none of them works."""
        batches = [Batch(RELAY_CHUNKS) for _ in range(threads)]
        helpers = [threading.Thread(target=self._carry, args=(batch,), name="envelope") for batch in batches[1:]]
        for helper in helpers:
            helper.start()
        self._carry(batches[0])
        self._join(helpers)
        if self._error is not None:
            raise self._error

    def _carry(self, batch: Batch) -> None:
        try:
            while (taken := self._take(batch)) is not None:
                number, final = taken
                self._work(batch, final)
                if not self._my_turn(number):
                    return
                self._write(batch)
                with self._writing:
                    self._written_batches += 1
                    self._writing.notify_all()
        except BaseException as error:  # noqa: BLE001 - told to the other thread, and raised by `run`
            self._stop(error)

    def _take(self, batch: Batch) -> tuple[int, bool] | None:
        """Read the next batch, if there is one; its number, and whether it is the last."""
        with self._reading:
            if self._at_end or self._error is not None:
                return None
            number = self._read_batches
            batch.first = number * RELAY_CHUNKS
            self._at_end = final = self._read(batch)
            self._read_batches += 1
            return number, final

    def _my_turn(self, number: int) -> bool:
        """Wait for it; False if it never comes."""
        with self._writing:
            self._writing.wait_for(lambda: self._written_batches == number or self._error is not None)
            return self._error is None

    def _stop(self, error: BaseException) -> None:
        with self._writing:
            self._error = self._error or error
            self._writing.notify_all()

    def _join(self, helpers: Sequence[threading.Thread]) -> None:
        for helper in helpers:
            while helper.is_alive():
                try:
                    helper.join()
                except BaseException as error:  # noqa: BLE001 - an interrupt: end the helper's work before the file's
                    self._stop(error)
