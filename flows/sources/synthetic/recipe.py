"""What a product's maker gives, and gets: one chunk of columns from a stretch of units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from flows.sources.synthetic.columns import Numbers
from flows.sources.synthetic.people import People


@dataclass(frozen=True)
class Units:
    """A stretch of units, numbered over the whole file, with the randomness that is theirs alone."""

    numbers: Numbers
    people: People
    rng: np.random.Generator

    @property
    def size(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True)
class Recipe:
    """How a product is made up. `columns` gives `rows_per_unit` rows of every unit, in the contract's column order.

    `period_column` is the one by which deliveries choose their rows: only there Parquet's statistics are of use.
    """

    columns: Callable[[Units], Mapping[str, pa.Array]]
    rows_per_unit: int
    units_per_person: int
    period_column: str
