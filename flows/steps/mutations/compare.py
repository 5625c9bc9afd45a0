"""What changed between two states of a table of any size: rows that are new, changed or ended, by their key.

Every row of today is laid aside in the scratch, in one of `RANGES` parts that the fingerprint of its key decides. Then
part after part is compared with the same part of the earlier state, so that one of them is in memory at a time.

What comes out is in the order of the parts, and by key within each: the same two states give the same rows in the same
order, however the source stores and orders them. Rows whose key is absent or comes twice always come out, so that the
validation after this finds and refuses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa

from schemas.compiler import CompiledTable
from schemas.fingerprints import fingerprints
from schemas.manifest import MutationCounts
from schemas.mutations import MutationsTerm
from schemas.scratch import Scratch

RANGES = 256
ROW = " row"  # the fingerprint of a row; no column of a contract begins with a space
_WAS = " was"
_TWICE = " twice"
_TOGETHER = 500_000  # rows: parts are told together, since a small frame costs as much as a large one
_AT_ONCE = 131_072  # rows that are laid aside together: they are copied a few times on the way
_OLDEST = pl.CompatLevel.oldest()

Frames = Iterator[pl.DataFrame]
OneFrame = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class States:
    """`before` has one frame for each range: the key and `ROW`. `keep` is given the same of today. `seed` is that of
    the fingerprints in both. `may_end` chooses the ended rows, by their key, that may be told.
    """

    before: Frames
    keep: Callable[[pl.DataFrame], object]
    seed: int
    may_end: OneFrame


def everything(frame: pl.DataFrame) -> pl.DataFrame:
    """Every ended row may be told."""
    return frame


class Comparison:
    """Give all rows of today to `told`, once; `counts` and `complete` are known when it has ended."""

    def __init__(self, term: MutationsTerm, compiled: CompiledTable, states: States, scratch: Scratch) -> None:
        self._term, self._compiled, self._states, self._scratch = term, compiled, states, scratch
        self._key = list(term.key)
        self._columns = [name for name in compiled.columns if name != term.column]  # those that are read
        self._tickets: list[list[int]] = [[] for _ in range(RANGES)]
        self._schema = pl.Schema({name: compiled.dtypes[name] for name in self._columns})
        self._found = dict.fromkeys((term.new, term.changed, term.ended), 0)
        self.complete = False

    @property
    def counts(self) -> MutationCounts:
        new, changed, ended = self._found.values()
        return MutationCounts(new=new, changed=changed, ended=ended)

    def told(self, frames: Frames) -> Frames:
        """The rows of the delivery, with the column that tells what happened to each.

        Frames of other types than those agreed pass as they are: the validation tells what is wrong with them.
        """
        bound = misfit = False
        for frame in frames:
            if not bound:
                self._schema, bound = frame.schema, True
                misfit = set(self._compiled.accepted(frame.schema)) != set(frame.columns)
            if misfit or frame.schema != self._schema:
                misfit = True
                yield frame.with_columns(pl.lit(self._term.new).alias(self._term.column))
            else:
                for piece in frame.iter_slices(_AT_ONCE):
                    self._lay_aside(piece)
        if not misfit:
            yield from _together(self._compared())
            self.complete = True

    def _lay_aside(self, frame: pl.DataFrame) -> None:
        rows = fingerprints([frame[name] for name in self._columns], self._states.seed)
        ranges = (fingerprints([frame[name] for name in self._key]) >> np.uint64(56)).astype(np.uint8)
        order = np.argsort(ranges, kind="stable")
        table = frame.with_columns(pl.Series(ROW, rows))[order].to_arrow(compat_level=_OLDEST).combine_chunks()
        edges = [0, *np.cumsum(np.bincount(ranges, minlength=RANGES)).tolist()]
        for tickets, (start, end) in zip(self._tickets, pairwise(edges), strict=True):
            for batch in table.slice(start, end - start).to_batches():
                if batch.num_rows:
                    tickets.append(self._scratch.append(_as_stream(batch)))

    def _compared(self) -> Frames:
        """Range after range; what is kept of today is handed on in the same order."""
        empty = pl.DataFrame(schema={**self._schema, ROW: pl.UInt64()})
        for tickets, before in zip(self._tickets, self._states.before, strict=True):
            parts = [_from_stream(self._scratch.read(ticket)) for ticket in tickets]
            now = pl.concat([empty, *parts])
            self._states.keep(now.select(*self._key, ROW))
            if now.height or before.height:
                yield self._mutations(now, before)

    def _mutations(self, now: pl.DataFrame, before: pl.DataFrame) -> pl.DataFrame:
        term, key = self._term, self._key
        was = before.select(
            *(pl.col(name).cast(now.schema[name], strict=False) for name in key), pl.col(ROW).alias(_WAS)
        )
        joined = now.join(was, on=key, how="left", maintain_order="left").with_columns(
            pl.struct(key).is_duplicated().alias(_TWICE)
        )
        happened = (
            pl.when(pl.col(_WAS).is_null())
            .then(pl.lit(term.new))
            .when((pl.col(_WAS) != pl.col(ROW)) | pl.col(_TWICE))
            .then(pl.lit(term.changed))
        )
        told = joined.with_columns(happened.alias(term.column)).filter(pl.col(term.column).is_not_null())
        ended = self._states.may_end(was.join(now, on=key, how="anti"))
        absent = [pl.lit(None, dtype).alias(name) for name, dtype in self._schema.items() if name not in key]
        ended = ended.with_columns(*absent, pl.lit(term.ended).alias(term.column))
        found = pl.concat([each.select(self._compiled.columns) for each in (told, ended)]).sort(
            key, maintain_order=True
        )
        for code, count in found[term.column].value_counts().iter_rows():
            self._found[code] += count
        return found


def _together(frames: Frames) -> Frames:
    """Whole frames put together; where they are cut hangs on what is in them and on nothing else."""
    waiting: list[pl.DataFrame] = []
    rows = 0
    for frame in frames:
        if frame.height:
            waiting.append(frame)
            rows += frame.height
        if rows >= _TOGETHER:
            yield pl.concat(waiting)
            waiting, rows = [], 0
    if waiting:
        yield pl.concat(waiting)


def _as_stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _from_stream(block: bytes) -> pl.DataFrame:
    found = pl.from_arrow(pa.ipc.open_stream(block).read_all())
    assert isinstance(found, pl.DataFrame), "a table becomes a frame"
    return found
