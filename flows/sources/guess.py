"""Guess the types of a text source from its first rows, for a draft that a person edits. Never used in a delivery.

Careful with identifiers: digits with a leading zero, or all of one length from six digits on, stay text.
"""

from __future__ import annotations

import polars as pl

SAMPLE_ROWS = 10_000
_IDENTIFIER_DIGITS = 6
_WHOLE = r"^-?(0|[1-9][0-9]{0,17})$"
_MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6}0{0,3})?"
_FORMS: tuple[tuple[str, pl.DataType], ...] = (
    (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", pl.Date()),
    (rf"^{_MOMENT}$", pl.Datetime("us")),
    (rf"^{_MOMENT}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$", pl.Datetime("us", "UTC")),
    (r"^(true|false)$", pl.Boolean()),
    (r"^-?[0-9]+\.[0-9]+$", pl.Float64()),
)


def guessed_types(sample: pl.DataFrame) -> dict[str, pl.DataType]:
    """A type for each column of a frame of text; text where nothing else fits all values, or there are none."""
    return {name: _guess(sample[name].drop_nulls()) for name in sample.columns}


def _guess(values: pl.Series) -> pl.DataType:
    if values.is_empty():
        return pl.String()
    if values.str.contains(_WHOLE).all():
        lengths = values.str.len_chars()
        one_length = lengths.min() == lengths.max() and lengths[0] >= _IDENTIFIER_DIGITS
        return pl.String() if one_length else pl.Int64()
    return next((dtype for form, dtype in _FORMS if values.str.contains(form).all()), pl.String())
