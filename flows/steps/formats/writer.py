"""What every writer of rows does."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

import polars as pl


class RowWriter(Protocol):
    """Writes frames to a target; leaving the context normally completes the file, an exception does not."""

    def write(self, frame: pl.DataFrame) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None: ...
