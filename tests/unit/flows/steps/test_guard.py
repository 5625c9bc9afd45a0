"""What libraries raise ends at the border of a step, also a panic, which is no `Exception`."""

from __future__ import annotations

import polars as pl
import pytest

from core.errors import GlaError
from flows.steps.path import guard


@pytest.mark.parametrize("foreign", [ValueError, pl.exceptions.ComputeError, pl.exceptions.PanicException])
def test_a_foreign_error_leaves_a_step_without_its_words(foreign):
    def work():
        raise foreign("975516759")

    with pytest.raises(GlaError) as caught:
        guard("step", work)()
    assert "975516759" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
