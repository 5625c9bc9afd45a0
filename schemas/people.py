"""Which people a delivery is about: the citizen numbers in its rows, and what is recorded of the set that is kept.

A column tells of people if it has the rule `bsn`, also inside arrays and objects, or if it is the one by which the
agreement knows participants.

>>> from schemas.table import Column
>>> phones = Column("bellers", "bellers", "array", items=Column("bellers[]", "", "string", rules=("bsn",)))
>>> column = telling(Column("nummer", "nummer", "integer"), "nummer"), telling(phones, None)
>>> column
(True, True)
>>> people_in(pl.Series("bellers", [["999990019"], [], None, ["999993653", "999990019"]]), phones, None).tolist()
[999990019, 999993653, 999990019]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from core.errors import Unexpected
from schemas.bsn_set import Numbers
from schemas.table import Column

_RULE = "bsn"
_SALT = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class PeopleKept:
    """A sealed set of people: how many, how it is cut, and what names its key (`keys.private.people`).

    There are `2 ** bits` buckets with room for `room` people each. `salt` is hexadecimal.
    """

    people: int
    bits: int
    room: int
    salt: str
    key: str

    @classmethod
    def parse(cls, value: Any) -> PeopleKept:
        """As it stands in the ledger; `Unexpected` for anything else."""
        try:
            kept = cls(**value)
            numbers = (kept.people, kept.bits, kept.room)
            if all(type(each) is int and each >= 0 for each in numbers) and _SALT.fullmatch(kept.salt):
                return kept
        except TypeError:
            pass
        raise Unexpected("what the ledger says of the people in a delivery is not readable: run gla ledger verify")


def telling(column: Column, participants: str | None) -> bool:
    """Whether people are told of in a column, or in what stands in it; `participants` names that column."""
    return any(_tells(each, participants) for each in column.walk())


def people_in(values: pl.Series, column: Column, participants: str | None) -> Numbers:
    """The citizen numbers in the values of a column that obey the contract, as they come; repetitions too."""
    found = [_numbers(each) for each in _series(values, column, participants)]
    return np.concatenate(found) if found else np.empty(0, dtype=np.uint32)


def _tells(column: Column, participants: str | None) -> bool:
    return _RULE in column.rules or column.name == participants


def _series(values: pl.Series, column: Column, participants: str | None) -> Iterator[pl.Series]:
    if _tells(column, participants):
        yield values
    if column.items is not None and telling(column.items, participants):
        yield from _series(values.explode(), column.items, participants)
    for name, inner in column.properties.items():
        if telling(inner, participants):
            yield from _series(values.struct.field(name), inner, participants)


def _numbers(values: pl.Series) -> Numbers:
    numbers: Numbers = values.cast(pl.UInt32, strict=False).drop_nulls().to_numpy()
    return numbers
