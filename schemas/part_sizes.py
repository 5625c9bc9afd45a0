"""How large the files of a delivery are: the agreement's `gla.parts`, {"rows": N} or {"bytes": N}; else, one file.

A part of rows has exactly N rows, the last one fewer. A part of bytes is at most N bytes, encrypted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from core.errors import UnusableInput

LEAST_ROWS = 1_000
LEAST_BYTES = 8 * 1024 * 1024
MOST = 2**53 - 1  # whole numbers that every JSON reader keeps


@dataclass(frozen=True)
class PartSize:
    """One of the two is given."""

    rows: int | None = None
    bytes: int | None = None


def parse_part_size(value: Any) -> PartSize | None:
    """The size from the JSON value of `gla.parts`; None is one file."""
    if value is None:
        return None
    if isinstance(value, dict) and len(value) == 1:
        if _fits(value.get("rows"), LEAST_ROWS):
            return PartSize(rows=value["rows"])
        if _fits(value.get("bytes"), LEAST_BYTES):
            return PartSize(bytes=value["bytes"])
    raise UnusableInput(f"gla.parts must have rows, from {LEAST_ROWS}, or bytes, from {LEAST_BYTES}")


def _fits(number: Any, least: int) -> bool:
    return type(number) is int and least <= number <= MOST
