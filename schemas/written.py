"""How a value of the contract is written as text in a delivery (CSV, fixed width): the form of dates and times."""

from __future__ import annotations

import re
from collections.abc import Iterator

from core.errors import UnusableInput
from schemas.logical_types import has_offset, text_format
from schemas.table import Column

_DAY = ("%Y", "%m", "%d")
_CLOCK = ("%H", "%M", "%S", "%3f", "%6f", "%9f")
_READ_BACK = ("", "%H%M", "%H%M%S")  # of the first three: Polars reads no hour without its minutes
_MOMENTS = ("date", "time", "timestamp")
_WIDTHS = {
    "%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%3f": 3, "%6f": 6, "%9f": 9, "%:z": 6, "%z": 5, "%%": 1,
}  # fmt: skip
_PATTERNS = {"%S": "[0-5][0-9]", "%:z": "[+-][0-9]{2}:[0-9]{2}", "%z": "[+-][0-9]{4}", "%%": "%"}  # no leap second


def written_form(column: Column) -> str | None:
    """The `format` of a date or time in chrono's letters; None where the contract has none, or for another type.

    `UnusableInput` for an offset in a type that has no time zone, for parts that a type does not have, for an hour
    without minutes or the reverse, and for a date of which a part would be lost.
    """
    if column.logical_type not in _MOMENTS:
        return None
    form = text_format(column)
    if form is None:
        return None
    if column.logical_type != "timestamp" and has_offset(form):
        raise UnusableInput(f"column {column.name} is a {column.logical_type}, and its format has an offset")
    foreign = {"date": _CLOCK, "time": _DAY}.get(column.logical_type, ())
    clock = "".join(each for each in _CLOCK[:3] if each in form)
    if clock not in _READ_BACK or any(each in form for each in foreign):
        raise UnusableInput(f"column {column.name} has a format with parts that are no {column.logical_type} together")
    if column.logical_type == "date" and not all(each in form for each in _DAY):
        raise UnusableInput(f"column {column.name} has a format without a year, month or day, which would be lost")
    return form


def form_width(form: str) -> int:
    """How many characters a value has in a form of `written_form`, for the years 0000 to 9999."""
    return sum(_WIDTHS.get(token, 1) for token in _tokens(form))


def form_pattern(form: str) -> str:
    """What has exactly these characters at these places, as a regular expression without ends.

    >>> form_pattern("%Y%m%d_%H")
    '[0-9]{4}[0-9]{2}[0-9]{2}_[0-9]{2}'
    """
    return "".join(_pattern(token) for token in _tokens(form))


def _pattern(token: str) -> str:
    return _PATTERNS.get(token) or (f"[0-9]{{{_WIDTHS[token]}}}" if token in _WIDTHS else re.escape(token))


def _tokens(form: str) -> Iterator[str]:
    while form:
        token = next((each for each in _WIDTHS if form.startswith(each)), form[0])
        yield token
        form = form[len(token) :]
