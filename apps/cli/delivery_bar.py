"""A bar on standard error while a delivery runs: rows, bytes, and when it should be done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def delivery_bar(name: str, expected: int | None) -> Iterator[Callable[[int, int], None]]:
    """Gives what is to be told of rows and bytes. `expected` is how many rows there may be, if anything says so."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{name}: starting", total=expected)

        def show(rows: int, size: int) -> None:
            told = f"{name}: {rows:,} rows, {size / 1e6:,.1f} MB sealed"
            bar.update(task, completed=min(rows, expected or rows), description=told)

        yield show
