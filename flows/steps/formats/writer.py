"""What every format does, in two halves that can run in two threads."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import polars as pl

from flows.steps.staging import DigestingWriter


@dataclass(frozen=True)
class Encoded:
    """Rows as the format that encoded them writes them."""

    rows: int
    content: Any


class RowWriter(Protocol):
    """Writes to a target; leaving the context normally completes the file, an exception does not."""

    def write(self, encoded: Encoded) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None: ...


class RowFormat(Protocol):
    """`encode` needs nothing of a file, so that it can go on beside the writing of what was encoded before."""

    def encode(self, frame: pl.DataFrame) -> Encoded: ...
    def open(self, target: DigestingWriter) -> RowWriter: ...
