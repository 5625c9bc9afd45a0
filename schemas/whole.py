"""What a contract promises about a delivery as a whole, kept up batch by batch: metrics, keys, references, totals.

Keys are compared by keyed 64-bit hashes, with a fresh key for each delivery; a key with a null in it is no key. Two
different keys seem equal in one of 3,700 deliveries of 100 million rows (one in 90,000 of 20 million). Then a good
delivery is refused, and the next run, with another key, accepts it. That a repeated key is missed cannot happen; that
a reference to nothing is missed, once in 10^11 at that size.

Sums are exact: integers of any width are added as 128-bit ones within a batch, and as Python's over all.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from schemas.compiler import CompiledTable
from schemas.key_hashes import KeyHashes
from schemas.quality import EXACTLY_NONE, Threshold
from schemas.relationships import Reference
from schemas.rules import TotalRule
from schemas.scratch import MemoryScratch, Scratch
from schemas.verdict import Result, Sum

ROOM = 2_000_000  # hashes of all keys together that wait in memory: 16 MB
IsSound = Callable[[str], bool]


@dataclass(frozen=True)
class _Key:
    """Columns whose combined values are hashed, as `wide` integers where they must compare with other columns."""

    columns: tuple[str, ...]
    wide: tuple[pl.DataType | None, ...]

    def hashed(self, frame: pl.DataFrame, seed: int) -> pl.Series:
        pairs = zip(self.columns, self.wide, strict=True)
        values = [pl.col(name) if wide is None else pl.col(name).cast(wide) for name, wide in pairs]
        return frame.select(values).drop_nulls().hash_rows(seed)


class WholeDelivery:
    """Give every batch to `add`; `results` judges all of them. `dtypes` are the types of every sound column."""

    def __init__(
        self,
        compiled: CompiledTable,
        dtypes: Mapping[str, pl.DataType],
        scratch: Scratch | None = None,
        sums: Sequence[str] = (),
    ) -> None:
        self._compiled, self._dtypes = compiled, dtypes
        self.rows = 0
        self.present = dict.fromkeys(compiled.columns, 0)
        self.sums = dict.fromkeys(sums, Sum(0, 0))
        self._totals = dict.fromkeys((name for rule in compiled.totals for name in (rule.column, *rule.columns)), 0)
        self._metrics = [0] * len(compiled.metrics)
        self._seed = secrets.randbits(64)
        self._hashes = self._start_hashing(scratch or MemoryScratch())

    def add(self, frame: pl.DataFrame, is_sound: IsSound) -> None:
        """Take one batch; a column that is not sound (missing, or of another type) is left out."""
        self.rows += frame.height
        for name in self.present.keys() & set(frame.columns):
            self.present[name] += frame.height - frame[name].null_count()
        self._add_up(frame, is_sound)
        for key, hashes in self._hashes.items():
            if all(map(is_sound, key.columns)):
                hashes.add(key.hashed(frame, self._seed).to_numpy())

    def results(self, unjudged: set[str], unreadable: set[str]) -> Iterator[Result]:
        """Every promise. One about a column in `unjudged`, of which some batch was not sound, is told only if broken.

        Values in `unreadable` columns were null here: a reference to them, or their total, cannot be judged.
        """
        for metric, count in zip(self._compiled.metrics, self._metrics, strict=True):
            total = self.rows if metric.counted is None else count
            yield from self._told(unjudged, (metric.column,), metric.column, metric.rule, total, metric.threshold)
        for key in self._compiled.unique_keys:
            repeated = self._hashes[self._unique(key.columns)].repeated()
            yield from self._told(unjudged, key.columns, key.label, key.rule, repeated, key.threshold)
        for reference in self._compiled.references:
            if not (unjudged | unreadable) & {*reference.columns, *reference.to_columns}:
                yield _never(reference.label, reference.rule, self._dangling(reference))
        for rule in self._compiled.totals:
            if not (unjudged | unreadable) & {rule.column, *rule.columns}:
                yield _never(rule.column, rule.rule, int(not self._adds_up(rule)))

    def _told(
        self, unjudged: set[str], columns: tuple[str, ...], label: str, rule: str, count: int, threshold: Threshold
    ) -> Iterator[Result]:
        holds = threshold.holds(count, self.rows)
        if not holds or unjudged.isdisjoint(columns):
            allowed = None if threshold is EXACTLY_NONE else str(threshold)
            yield Result(label, rule, count, threshold.severity, allowed, holds)

    def _start_hashing(self, scratch: Scratch) -> dict[_Key, KeyHashes]:
        counted = dict.fromkeys((self._unique(each.columns) for each in self._compiled.unique_keys), False)
        for reference in self._compiled.references:
            origin, target = self._paired(reference)
            counted |= {target: counted.get(target, False), origin: True}
        each = ROOM // max(len(counted), 1)
        return {key: KeyHashes(scratch, each, counted=is_counted) for key, is_counted in counted.items()}

    def _unique(self, columns: tuple[str, ...]) -> _Key:
        return _Key(columns, tuple(self._wide(name) for name in columns))

    def _paired(self, reference: Reference) -> tuple[_Key, _Key]:
        """Both ends of a reference, with integers as one type, whatever widths they are stored in."""
        pairs = zip(reference.columns, reference.to_columns, strict=True)
        wide = tuple(self._wide(own, to) for own, to in pairs)
        return _Key(reference.columns, wide), _Key(reference.to_columns, wide)

    def _wide(self, *names: str) -> pl.DataType | None:
        """The type in which values of these columns are compared; None is how they are stored."""
        dtypes = [self._dtypes[name] for name in names if name in self._dtypes]
        if not any(dtype.is_integer() for dtype in dtypes):
            return None
        return pl.Int128() if pl.UInt64() in dtypes else pl.Int64()

    def _add_up(self, frame: pl.DataFrame, is_sound: IsSound) -> None:
        """Run everything that is a sum over the rows as one query."""
        wanted = {f"m{at}": each.counted for at, each in enumerate(self._compiled.metrics_for(self._dtypes))
                  if each.counted is not None and is_sound(each.column)}  # fmt: skip
        names = [name for name in {**self.sums, **self._totals} if is_sound(name)]
        wanted |= {f"s{name}": pl.col(name).cast(pl.Int128).sum() for name in names}
        wanted |= {f"n{name}": (pl.col(name) != 0).sum() for name in self.sums if name in names}
        if not wanted:
            return
        totals = frame.select(each.alias(name) for name, each in wanted.items()).row(0, named=True)
        found = {name: value or 0 for name, value in totals.items()}
        for at in range(len(self._metrics)):
            self._metrics[at] += found.get(f"m{at}", 0)
        for name in names:
            if name in self._totals:
                self._totals[name] += found[f"s{name}"]
            if name in self.sums:
                before = self.sums[name]
                self.sums[name] = Sum(before.total + found[f"s{name}"], before.nonzero + found[f"n{name}"])

    def _adds_up(self, rule: TotalRule) -> bool:
        return self._totals[rule.column] == sum(self._totals[name] for name in rule.columns)

    def _dangling(self, reference: Reference) -> int:
        origin, target = (self._hashes[key] for key in self._paired(reference))
        return sum(own.missing_from(to) for own, to in zip(origin.parts(), target.parts(), strict=True))


def _never(label: str, rule: str, count: int) -> Result:
    return Result(label, rule, count, holds=count == 0)
