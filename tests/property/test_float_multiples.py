"""A float is a multiple of a step exactly if exact arithmetic says that it is the float of one, or as good as that."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.exact import is_multiple
from tests.soak import examples

STEPS = st.sampled_from(["0.01", "0.1", "0.001", "12.34", "0.105", "3", "1000", "1e-07", "1", "0.25"])
WIDTHS = st.sampled_from([(pl.Float32(), np.float32, 2**24), (pl.Float64(), np.float64, 2**48)])
FAR = Fraction(1, 5)  # of a step from the nearest multiple


def judged(step: str, dtype: pl.DataType, value: float) -> bool:
    frame = pl.DataFrame({"x": pl.Series([value], dtype=dtype)})
    return bool(frame.select(is_multiple(float(step), dtype)(pl.col("x"))).item())


@settings(max_examples=examples(200), deadline=None)
@given(st.data(), STEPS, WIDTHS)
def test_the_float_of_a_multiple_is_one_and_a_float_between_two_is_none(
    data: st.DataObject, step: str, width: tuple[pl.DataType, type, int]
) -> None:
    dtype, held, most = width
    times = data.draw(st.integers(-most + 1, most - 1))
    assert judged(step, dtype, float(held(float(times * Fraction(step)))))
    between = float(held(float((times + data.draw(st.fractions(0, 1))) * Fraction(step))))
    quotient = Fraction(between) / Fraction(step)
    nearest = float(held(float(round(quotient) * Fraction(step))))
    if between != nearest and abs(quotient - round(quotient)) >= FAR:
        assert not judged(step, dtype, between)
