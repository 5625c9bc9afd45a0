"""The different values of a key over a whole delivery, as 64-bit hashes, in bounded memory.

Hashes wait in memory until there are `room`; then they are sorted, counted, and laid aside in the scratch as one block
for each of `_RANGES` ranges of hashes. In the end range after range is merged: one range of all that was laid aside is
in memory at a time, and a value that came a million times in a run is there once. So 100 million different keys take
8 bytes each in the scratch (12 if they are counted), and a 256th of that in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from schemas.scratch import Scratch

Hashes = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.uint32]
_RANGES = 256
_EDGES = np.arange(1, _RANGES, dtype=np.uint64) << np.uint64(56)  # by the first byte, which is uniform like the others


@dataclass(frozen=True)
class Part:
    """The different hashes of one range, in order, and how often each came, if that is counted."""

    hashes: Hashes
    counts: npt.NDArray[np.int64] | None

    def missing_from(self, other: Part) -> int:
        """How often hashes came that are not in `other`, of the same range."""
        if self.counts is None:
            raise ValueError("only counted keys can be missing")
        at = np.searchsorted(other.hashes, self.hashes)
        found = np.zeros(len(self.hashes), dtype=np.bool_)
        inside = at < len(other.hashes)
        found[inside] = other.hashes[at[inside]] == self.hashes[inside]
        return int(self.counts[~found].sum())


class KeyHashes:
    """Collects hashes with `add`; `parts` may be asked at any time. `room` is the number of hashes kept in memory."""

    def __init__(self, scratch: Scratch, room: int, *, counted: bool) -> None:
        self._scratch, self._room, self._counted = scratch, room, counted
        self._waiting: list[Hashes] = []
        self._tickets: list[list[int]] = [[] for _ in range(_RANGES)]
        self.total = 0

    def add(self, hashes: Hashes) -> None:
        """Take the hashes of one batch; they are not copied, so they must not change."""
        self._waiting.append(hashes)
        self.total += len(hashes)
        if sum(map(len, self._waiting)) >= self._room:
            for tickets, block in zip(self._tickets, self._run(), strict=True):
                if block:
                    tickets.append(self._scratch.append(block))
            self._waiting.clear()

    def repeated(self) -> int:
        """How many of all were no first of their kind."""
        return self.total - sum(len(part.hashes) for part in self.parts())

    def parts(self) -> Iterator[Part]:
        """Everything so far, range after range."""
        for tickets, latest in zip(self._tickets, self._run(), strict=True):
            yield self._merged([*map(self._scratch.read, tickets), latest])

    def _run(self) -> Iterator[bytes]:
        """What waits, as one block for each range: the different hashes in order, then how often each came."""
        hashes = np.concatenate([np.empty(0, np.uint64), *self._waiting])
        hashes.sort()
        first = _firsts(hashes)
        counts = np.diff(np.flatnonzero(first), append=len(hashes)).astype(np.uint32) if self._counted else None
        if not first.all():
            hashes = hashes[first]
        edges = [0, *np.searchsorted(hashes, _EDGES).tolist(), len(hashes)]
        for start, end in pairwise(edges):
            yield hashes[start:end].tobytes() + (b"" if counts is None else counts[start:end].tobytes())

    def _merged(self, blocks: list[bytes]) -> Part:
        width = 12 if self._counted else 8
        sizes = [len(block) // width for block in blocks]
        parts = [np.frombuffer(block, np.uint64, size) for block, size in zip(blocks, sizes, strict=True)]
        hashes: Hashes = np.concatenate(parts)
        if not self._counted:
            hashes.sort()
            return Part(hashes[_firsts(hashes)], None)
        tails = [np.frombuffer(block, np.uint32, size, 8 * size) for block, size in zip(blocks, sizes, strict=True)]
        order = np.argsort(hashes)
        hashes, counts = hashes[order], np.concatenate(tails).astype(np.int64)[order]
        first = _firsts(hashes)
        if not len(hashes):
            return Part(hashes, counts)
        return Part(hashes[first], np.add.reduceat(counts, np.flatnonzero(first)))


def _firsts(ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Where a value comes that was not just before it."""
    first = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return first
