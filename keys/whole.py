"""What every sealer does beside encrypting: a write-only file that completes its envelope only if all went well."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from cryptography.utils import Buffer


class WholeOrNothing(ABC):
    """Inside a `with` block `close` only ends the writing, since the block decides: after an exception, nothing opens.

    An implementation has `_take`, `_finish` and `_drop`, of which the last two may be called more than once.
    """

    def __init__(self) -> None:
        self._length = 0
        self._in_block = False
        self._abandoned = False
        self.closed = False

    @abstractmethod
    def _take(self, data: memoryview) -> None:
        """Encrypt more."""

    @abstractmethod
    def _finish(self) -> None:
        """Write what completes the envelope."""

    @abstractmethod
    def _drop(self) -> None:
        """Let go of what is held; the envelope must not open after it."""

    def write(self, data: Buffer) -> int:
        """Take all of `data` and return its length in bytes. After an error the envelope is abandoned."""
        if self.closed:
            raise ValueError("write to a closed envelope")
        view = memoryview(data).cast("B")
        try:
            self._take(view)
        except BaseException:
            self.abandon()
            raise
        self._length += len(view)
        return len(view)

    def close(self) -> None:
        """Complete the envelope; inside a `with` block only end the writing."""
        if self.closed:
            return
        self.closed = True
        if not self._in_block:
            self._finish()

    def abandon(self) -> None:
        """Stop: what was written so far can never be opened as a whole."""
        self.closed = True
        self._abandoned = True
        self._drop()

    def __enter__(self) -> Self:
        self._in_block = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True
        if kind is not None:
            self.abandon()
        elif self._abandoned:
            raise ValueError("the envelope was abandoned after an error")
        else:
            self._finish()

    def tell(self) -> int:
        """Bytes of plaintext taken so far."""
        return self._length

    def flush(self) -> None:  # noqa: B027 - files have it
        """Nothing to do: the envelope decides when bytes leave."""

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
