"""A table or view of a database as a source: one session reads it in a thread, while frames are made of what came.

What differs between databases is a `Session`. What it and its server say may quote data: of a foreign exception only
the kind is kept, as a sentence of ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import polars as pl

from core.errors import GlaError, SourceUnavailable, UnusableInput
from core.settings import SourceSettings
from flows.sources.ahead import Silent, ahead
from flows.sources.base import Kind, Told, of_equal_size, refuse_unreadable, require_columns, tell_nobody
from flows.sources.plan import ExtractionPlan, Unreadable

T = TypeVar("T")


class Session(Protocol):
    """One state of one table. All but `frame` and `interrupt` run in the reading thread, in the order of here."""

    def open(self) -> None: ...

    def types(self) -> dict[str, pl.DataType]:
        """The columns in order; `SourceUnavailable` if there is no such table."""
        ...

    def snapshot(self) -> str:
        """Which state is read, see `flows.sources.base.Source`."""
        ...

    def stream(self, plan: ExtractionPlan) -> Generator[Any]:
        """What the database gives for the plan, in pieces that `frame` understands."""
        ...

    def close(self) -> None: ...

    def interrupt(self) -> None:
        """End what another thread waits for."""
        ...

    def frame(self, piece: Any, plan: ExtractionPlan, unreadable: Unreadable) -> pl.DataFrame:
        """A piece as a frame with the plan's columns, types of ours, and no row that the filter leaves out."""
        ...


@dataclass(frozen=True)
class DatabaseSource:
    """`reason` makes the rest of a sentence ("source people ...") of a foreign exception; None if it is a defect."""

    id: str
    kind: Kind
    session: Callable[[], Session] = field(repr=False)
    reason: Callable[[Exception], str | None] = field(repr=False)
    limits: SourceSettings = field(default_factory=SourceSettings)

    def schema(self) -> dict[str, pl.DataType]:
        """As `flows.sources.base.Source` says."""
        session = self.session()

        def ask() -> Generator[dict[str, pl.DataType]]:
            try:
                session.open()
                yield session.types()
            finally:
                session.close()

        return next(self._translated(ahead(ask(), self.limits.idle_seconds, session.interrupt)))

    def untyped(self) -> frozenset[str]:
        """None: a database has types."""
        return frozenset()

    def draft_schema(self) -> dict[str, pl.DataType]:
        """The schema: there is nothing to guess."""
        return self.schema()

    def row_count(self) -> int | None:
        """None: it would have to be counted."""
        return None

    def batches(
        self, plan: ExtractionPlan, unreadable: Unreadable = refuse_unreadable, told: Told = tell_nobody
    ) -> Iterator[pl.DataFrame]:
        """As `flows.sources.base.Source` says; the next piece is read while one is used."""
        return of_equal_size(self._frames(plan, unreadable, told))

    def _frames(self, plan: ExtractionPlan, unreadable: Unreadable, told: Told) -> Iterator[pl.DataFrame]:
        session = self.session()

        def read() -> Generator[Any]:
            try:
                session.open()
                self._check(plan, session.types())
                yield session.snapshot()
                yield from session.stream(plan)
            finally:
                session.close()

        with contextlib.closing(ahead(read(), self.limits.idle_seconds, session.interrupt)) as items:
            pieces = self._translated(items)
            told(next(pieces))
            for piece in pieces:
                yield session.frame(piece, plan, unreadable)

    def _check(self, plan: ExtractionPlan, types: dict[str, pl.DataType]) -> None:
        require_columns(self.id, plan, types)
        for name in (*(each.source_name for each in plan.columns), *sorted(plan.source_filter.columns)):
            if types[name] == pl.Unknown:
                raise UnusableInput(
                    f"source {self.id} stores column {name} as a type that has no counterpart in a contract: "
                    "offer a view that casts it"
                )

    def _translated(self, items: Iterator[T]) -> Iterator[T]:
        while True:
            reason = None
            try:
                item = next(items)
            except StopIteration:
                return
            except Silent:
                reason = f"did not answer for {self.limits.idle_seconds:g} seconds: see what holds it up"
            except GlaError:
                raise
            except Exception as error:
                reason = self.reason(error)
                if reason is None:
                    raise
            else:
                yield item
                continue
            raise SourceUnavailable(f"source {self.id} {reason}")
