"""A bar on the terminal while a large file is read; nothing where nobody watches."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from flows.sources.base import Source


def watched(frames: Iterator[pl.DataFrame], source: Source) -> Iterator[pl.DataFrame]:
    """The same frames, with a bar on standard error that goes away at the end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from frames
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task, rows = bar.add_task("reading", total=source.row_count()), 0
        for frame in frames:
            yield frame
            rows += frame.height
            bar.update(task, completed=rows, description=f"{rows:,} rows")
