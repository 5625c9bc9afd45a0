"""Made-up inkomstenverhoudingen that obey our product contract: for demonstrations, tests and measurements.

No person can be meant: citizen and employer numbers pass the 11-proef but come from the range that starts with 9999,
which is reserved for testing, or, where more people are needed, from the test convention that they start with 9.
Every person has one or more income relations (inkomstenverhoudingen), each with one row per month of 2026, so that a
period of n months selects about n/12 of the rows. The same rows and seed always give the same table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from core.errors import UnusableInput
from schemas.bsn import complete

YEAR = 2026
MONTHS = 12
RELATIONS_PER_PERSON = 3  # at most
EMPLOYERS = 2_000
_CHUNK = 100_000  # relations made at once: 1.2 million rows, about 100 MB
_ROW_GROUP = 250_000  # a reader holds several groups at once: smaller ones keep its memory low
_SMALL, _LARGE = 99_990_000, 90_000_000  # first eight digits of the smallest number in each range
_JOBS = ["15", "11", "13", "31", "33", "39", "40", "43"]  # code soort IKV: three kinds of wages, then benefits
_JOB_SHARES = [0.72, 0.05, 0.02, 0.04, 0.05, 0.03, 0.03, 0.06]
_WAGES = 3  # the first codes of _JOBS are wages; only those have a kind of employment
_KINDS = ["1", "11", "18", "7", "82", "83"]  # code aard arbeidsverhouding
_KIND_SHARES = [0.75, 0.1, 0.07, 0.02, 0.04, 0.02]
_ENDED_SHARE = 0.12  # of relations that ended in the year
_CORRECTION_SHARE = 0.01  # of rows with a negative amount
_SCHEMA = {
    "bsn": pl.String(),
    "loonheffingennummer": pl.String(),
    "nummer_ikv": pl.Int64(),
    "code_soort_ikv": pl.String(),
    "code_aard_arbeidsverhouding": pl.String(),
    "datum_aanvang_ikv": pl.Date(),
    "datum_einde_ikv": pl.Date(),
    "datum_aanvang_tijdvak": pl.Date(),
    "datum_einde_tijdvak": pl.Date(),
    "aantal_verloonde_uren": pl.Int64(),
    "sv_loon": pl.Int64(),
    "loon_lb_ph": pl.Int64(),
}


def generate_inkomstenverhoudingen(path: Path, rows: int, seed: int) -> None:
    """Write `rows` rows to the Parquet file `path` (zstd), in bounded memory; an existing file is replaced."""
    relations = -(-rows // MONTHS)
    if rows < 1:
        raise UnusableInput("at least one row must be asked for")
    people = _People.for_relations(relations, seed)

    def chunks(*_: object) -> Iterator[pl.DataFrame]:
        for start in range(0, relations, _CHUNK):
            size = min(_CHUNK, relations - start)
            rng = np.random.default_rng([seed, start])
            yield _rows(_relations(people, start, size, rng), rng).head(rows - start * MONTHS)

    beside = path.with_name(f".{path.name}.part")
    frame = register_io_source(chunks, schema=_SCHEMA, is_pure=True)
    try:
        frame.sink_parquet(
            beside, compression="zstd", compression_level=1, row_group_size=_ROW_GROUP, maintain_order=True
        )
        beside.replace(path)
    except (OSError, pl.exceptions.PolarsError):
        beside.unlink(missing_ok=True)
    else:
        return
    raise UnusableInput("the file cannot be written: is there such a folder, and room in it?")


@dataclass(frozen=True)
class _People:
    """Test numbers in an order that the seed decides; relation k belongs to person k modulo their number."""

    numbers: pl.Series
    employers: pl.Series

    @classmethod
    def for_relations(cls, relations: int, seed: int) -> _People:
        rng = np.random.default_rng(seed)
        small = _test_numbers(_SMALL, 100_000_000 - _SMALL, rng)
        enough = relations <= small.len() * RELATIONS_PER_PERSON
        numbers = small if enough else _test_numbers(_LARGE, relations, rng)
        if relations > numbers.len() * RELATIONS_PER_PERSON:
            raise UnusableInput("there are not enough test citizen numbers for so many rows")
        return cls(numbers, small.head(EMPLOYERS).cast(pl.String) + "L01")


def _test_numbers(first_prefix: int, wanted: int, rng: np.random.Generator) -> pl.Series:
    """About ten elevenths of `wanted` different valid numbers, if the range has so many, in no visible order.

    A step that shares no factor with the range's size (a power of ten) visits every prefix before any twice.
    """
    size = 100_000_000 - first_prefix
    offset, step = rng.integers(0, size), 10 * rng.integers(size // 30, size // 10) + 7
    prefixes = first_prefix + (offset + step * np.arange(min(wanted, size))) % size
    return complete(pl.Series(prefixes, dtype=pl.UInt32))


def _relations(people: _People, start: int, size: int, rng: np.random.Generator) -> pl.DataFrame:
    """One row per relation: everything that does not change from month to month."""
    index = np.arange(start, start + size)
    job = rng.choice(len(_JOBS), size, p=_JOB_SHARES)
    kind = np.where(job < _WAGES, rng.choice(len(_KINDS), size, p=_KIND_SHARES), -1)
    began = np.datetime64(date(YEAR - 1, 12, 31)) - rng.integers(0, 7000, size)
    ended = np.where(rng.random(size) < _ENDED_SHARE, rng.integers(334, 365, size), -1)
    return pl.DataFrame(
        {
            "bsn": people.numbers.gather(index % people.numbers.len()).cast(pl.String),
            "loonheffingennummer": people.employers.gather(rng.integers(0, EMPLOYERS, size)),
            "nummer_ikv": 1 + index // people.numbers.len(),
            "code_soort_ikv": pl.Series(_JOBS).gather(job),
            "code_aard_arbeidsverhouding": pl.Series([*_KINDS, None]).gather(np.where(kind < 0, len(_KINDS), kind)),
            "datum_aanvang_ikv": pl.Series(began),
            "datum_einde_ikv": pl.Series(np.where(ended < 0, np.datetime64("NaT"), _day(ended))),
            "wage": (rng.lognormal(12.7, 0.5, size)).astype(np.int64),  # eurocents a month, median about 3,300 euros
        }
    )


def _day(of_year: np.ndarray[tuple[int], np.dtype[np.int64]]) -> np.ndarray[tuple[int], np.dtype[np.datetime64]]:
    return np.datetime64(date(YEAR, 1, 1)) + of_year


def _rows(relations: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Each relation with its twelve months, amounts and hours."""
    size = relations.height * MONTHS
    wages = relations["wage"].to_numpy().repeat(MONTHS)
    paid = (wages * rng.uniform(0.9, 1.1, size)).astype(np.int64)
    paid = np.where(rng.random(size) < _CORRECTION_SHARE, -paid // 10, paid)
    starts = pl.Series([date(YEAR, month, 1) for month in range(1, MONTHS + 1)])
    month = np.tile(np.arange(MONTHS), relations.height)
    whole = relations.select(pl.exclude("wage"))[np.arange(relations.height).repeat(MONTHS)]
    return whole.with_columns(
        datum_aanvang_tijdvak=starts.gather(month),
        datum_einde_tijdvak=starts.dt.month_end().gather(month),
        aantal_verloonde_uren=pl.Series(rng.integers(0, 185, size)),
        sv_loon=pl.Series(paid),
        loon_lb_ph=pl.Series(paid * 97 // 100),
    ).select(pl.col(name).cast(dtype) for name, dtype in _SCHEMA.items())
