"""Where a validation may lay aside what does not fit its memory: blocks of bytes, read again in any order.

This package does no I/O. The default keeps the blocks in memory; whoever wires a delivery hands in one that seals them
on disk.
"""

from __future__ import annotations

from typing import Protocol


class Scratch(Protocol):
    """Blocks come back exactly as they were appended, or `read` raises; whoever opened a scratch closes it."""

    def append(self, block: bytes) -> int:
        """Keep a block; the ticket that gets it back. Raises `StorageFull` when there is no room."""
        ...

    def read(self, ticket: int) -> bytes: ...


class MemoryScratch:
    """For as much as fits in memory."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def append(self, block: bytes) -> int:
        self._blocks.append(block)
        return len(self._blocks) - 1

    def read(self, ticket: int) -> bytes:
        return self._blocks[ticket]
