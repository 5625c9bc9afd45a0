"""Guesses for a draft: a type only where every value has it, and identifiers stay text."""

from __future__ import annotations

import polars as pl
import pytest

from flows.sources.guess import guessed_types


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-20", None], pl.Int64()),
        (["0"], pl.Int64()),
        (["01", "02"], pl.String()),
        (["123456", "654321"], pl.String()),  # digits of one length are an identifier
        (["123456", "1"], pl.Int64()),
        (["1" * 19, "1"], pl.String()),  # more than 64 bits may be needed
        (["1.5", "-0.25"], pl.Float64()),
        (["1.5", "2"], pl.String()),
        (["true", "false"], pl.Boolean()),
        (["True"], pl.String()),
        (["2026-03-01"], pl.Date()),
        (["2026-03-01 12:00:00", "2026-03-01T12:00:00.5"], pl.Datetime("us")),
        (["2026-03-01T12:00:00Z", "2026-03-01T12:00:00+0100"], pl.Datetime("us", "UTC")),
        (["2026-03-01T12:00:00", "2026-03-01T12:00:00Z"], pl.String()),
        (["2026-03-01 12:00:00 or later"], pl.String()),
        (["2026-03-01", "soon"], pl.String()),
        ([""], pl.String()),
        ([None, None], pl.String()),
        ([], pl.String()),
    ],
)
def test_the_type_that_fits_every_value(values, expected):
    frame = pl.DataFrame({"column": pl.Series(values, dtype=pl.String)})
    assert guessed_types(frame) == {"column": expected}
