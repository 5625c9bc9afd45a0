"""A sample of the random search in `make test`, twenty times as much in `make soak`, hours with `tests.fuzz.run`."""

from __future__ import annotations

import pytest

from tests.fuzz.run import search
from tests.soak import examples


@pytest.mark.soak
@pytest.mark.parametrize(("target", "tries"), [("contract", 200), ("data", 80)])
def test_nothing_that_is_made_up_does_harm(target: str, tries: int) -> None:
    findings: list[str] = []
    counts = search(target, iter(range(examples(tries))), findings.append)
    assert not findings
    assert counts["refused"] < counts.total()  # not all of it is nonsense
