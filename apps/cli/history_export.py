"""The history for programs: one JSON list, or CSV (RFC 4180) with a line for each delivery; bounded memory.

A spreadsheet takes text that begins with `=`, `+`, `-` or `@` for a formula: in CSV such text gets an apostrophe before
it, since people type reasons.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import Any

from flows.steps.outlook import Expected
from ledger.history import HistoryRow

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MUTATIONS = ("new", "changed", "ended")


def as_json(rows: Iterable[HistoryRow | Expected]) -> Iterator[str]:
    """A JSON list in pieces."""
    between = "[\n"
    for row in rows:
        yield f"{between}{json.dumps(asdict(row), ensure_ascii=False)}"
        between = ",\n"
    yield "[]\n" if between == "[\n" else "\n]\n"


def as_csv(rows: Iterable[HistoryRow | Expected], kind: type[HistoryRow | Expected]) -> Iterator[str]:
    """CSV in pieces, of rows of one kind; a header in any case. The counts of mutations are columns of their own."""
    names = [field.name for field in fields(kind)]
    flat = [name for each in names for name in (_MUTATIONS if each == "mutations" else (each,))]
    yield _line(flat)
    for row in rows:
        values = asdict(row)
        values |= values.get("mutations") or {}
        yield _line([_told(values.get(name)) for name in flat])


def _line(values: list[Any]) -> str:
    target = io.StringIO()
    csv.writer(target).writerow(values)
    return target.getvalue()


def _told(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value is not None and isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if text else value
